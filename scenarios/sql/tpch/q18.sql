-- TPC-H Q18, large volume customer. QUANTITY = 300.
-- Rewritten: the FROM list as JOINs; "the first 100 rows" as LIMIT; the last column has a name.
SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, SUM(l_quantity) AS sum_qty
FROM sales.customer
JOIN sales.orders ON c_custkey = o_custkey
JOIN logistics.lineitem ON o_orderkey = l_orderkey
WHERE o_orderkey IN (
    SELECT l_orderkey
    FROM logistics.lineitem
    GROUP BY l_orderkey
    HAVING SUM(l_quantity) > 300
)
GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice
ORDER BY o_totalprice DESC, o_orderdate
LIMIT 100
