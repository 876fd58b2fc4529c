-- TPC-H Q17, small-quantity-order revenue. BRAND = Brand#23, CONTAINER = MED BOX.
-- Rewritten: the FROM list as a JOIN.
SELECT SUM(l_extendedprice) / 7.0 AS avg_yearly
FROM logistics.lineitem
JOIN supply.part ON p_partkey = l_partkey
WHERE p_brand = 'Brand#23'
  AND p_container = 'MED BOX'
  AND l_quantity < (
      SELECT 0.2 * AVG(l_quantity)
      FROM logistics.lineitem
      WHERE l_partkey = p_partkey
  )
