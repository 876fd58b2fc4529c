-- TPC-H Q11, important stock identification. NATION = GERMANY, FRACTION = 0.0001 / scale factor.
-- Rewritten: FROM lists as JOINs; the fraction below is that of scale factor 1.
SELECT ps_partkey, SUM(ps_supplycost * ps_availqty) AS value
FROM supply.partsupp
JOIN supply.supplier ON ps_suppkey = s_suppkey
JOIN supply.nation ON s_nationkey = n_nationkey
WHERE n_name = 'GERMANY'
GROUP BY ps_partkey
HAVING SUM(ps_supplycost * ps_availqty) > (
    SELECT SUM(ps_supplycost * ps_availqty) * 0.0001
    FROM supply.partsupp
    JOIN supply.supplier ON ps_suppkey = s_suppkey
    JOIN supply.nation ON s_nationkey = n_nationkey
    WHERE n_name = 'GERMANY'
)
ORDER BY value DESC
