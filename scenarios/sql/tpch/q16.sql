-- TPC-H Q16, parts/supplier relationship. BRAND = Brand#45, TYPE = MEDIUM POLISHED, SIZE1 to SIZE8 = 49, 14, 23, 45, 19, 3, 36, 9.
-- Rewritten: the FROM list as a JOIN.
SELECT p_brand, p_type, p_size, COUNT(DISTINCT ps_suppkey) AS supplier_cnt
FROM supply.partsupp
JOIN supply.part ON p_partkey = ps_partkey
WHERE p_brand <> 'Brand#45'
  AND p_type NOT LIKE 'MEDIUM POLISHED%'
  AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)
  AND ps_suppkey NOT IN (
      SELECT s_suppkey FROM supply.supplier WHERE s_comment LIKE '%Customer%Complaints%'
  )
GROUP BY p_brand, p_type, p_size
ORDER BY supplier_cnt DESC, p_brand, p_type, p_size
