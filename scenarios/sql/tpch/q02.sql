-- TPC-H Q2, minimum cost supplier. SIZE = 15, TYPE = BRASS, REGION = EUROPE.
-- Rewritten: FROM lists as JOINs; "the first 100 rows" as LIMIT.
SELECT s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment
FROM supply.part
JOIN supply.partsupp ON p_partkey = ps_partkey
JOIN supply.supplier ON s_suppkey = ps_suppkey
JOIN supply.nation ON s_nationkey = n_nationkey
JOIN supply.region ON n_regionkey = r_regionkey
WHERE p_size = 15
  AND p_type LIKE '%BRASS'
  AND r_name = 'EUROPE'
  AND ps_supplycost = (
      SELECT MIN(ps_supplycost)
      FROM supply.partsupp
      JOIN supply.supplier ON s_suppkey = ps_suppkey
      JOIN supply.nation ON s_nationkey = n_nationkey
      JOIN supply.region ON n_regionkey = r_regionkey
      WHERE p_partkey = ps_partkey AND r_name = 'EUROPE'
  )
ORDER BY s_acctbal DESC, n_name, s_name, p_partkey
LIMIT 100
