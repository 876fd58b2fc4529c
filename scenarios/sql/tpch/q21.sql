-- TPC-H Q21, suppliers who kept orders waiting. NATION = SAUDI ARABIA.
-- Rewritten: the FROM list as JOINs; "the first 100 rows" as LIMIT.
SELECT s_name, COUNT(*) AS numwait
FROM supply.supplier
JOIN logistics.lineitem l1 ON s_suppkey = l1.l_suppkey
JOIN sales.orders ON o_orderkey = l1.l_orderkey
JOIN supply.nation ON s_nationkey = n_nationkey
WHERE o_orderstatus = 'F'
  AND l1.l_receiptdate > l1.l_commitdate
  AND EXISTS (
      SELECT *
      FROM logistics.lineitem l2
      WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey
  )
  AND NOT EXISTS (
      SELECT *
      FROM logistics.lineitem l3
      WHERE l3.l_orderkey = l1.l_orderkey
        AND l3.l_suppkey <> l1.l_suppkey
        AND l3.l_receiptdate > l3.l_commitdate
  )
  AND n_name = 'SAUDI ARABIA'
GROUP BY s_name
ORDER BY numwait DESC, s_name
LIMIT 100
