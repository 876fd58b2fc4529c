-- TPC-H Q3, shipping priority. SEGMENT = BUILDING, DATE = 1995-03-15.
-- Rewritten: the FROM list as JOINs; "the first 10 rows" as LIMIT.
SELECT l_orderkey,
       SUM(l_extendedprice * (1 - l_discount)) AS revenue,
       o_orderdate,
       o_shippriority
FROM sales.customer
JOIN sales.orders ON c_custkey = o_custkey
JOIN logistics.lineitem ON l_orderkey = o_orderkey
WHERE c_mktsegment = 'BUILDING'
  AND o_orderdate < DATE '1995-03-15'
  AND l_shipdate > DATE '1995-03-15'
GROUP BY l_orderkey, o_orderdate, o_shippriority
ORDER BY revenue DESC, o_orderdate
LIMIT 10
