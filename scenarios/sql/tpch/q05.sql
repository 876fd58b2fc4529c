-- TPC-H Q5, local supplier volume. REGION = ASIA, DATE = 1994-01-01.
-- Rewritten: the FROM list as JOINs.
SELECT n_name, SUM(l_extendedprice * (1 - l_discount)) AS revenue
FROM sales.customer
JOIN sales.orders ON c_custkey = o_custkey
JOIN logistics.lineitem ON l_orderkey = o_orderkey
JOIN supply.supplier ON l_suppkey = s_suppkey AND c_nationkey = s_nationkey
JOIN supply.nation ON s_nationkey = n_nationkey
JOIN supply.region ON n_regionkey = r_regionkey
WHERE r_name = 'ASIA'
  AND o_orderdate >= DATE '1994-01-01'
  AND o_orderdate < DATE '1994-01-01' + INTERVAL '1' YEAR
GROUP BY n_name
ORDER BY revenue DESC
