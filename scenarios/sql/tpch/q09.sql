-- TPC-H Q9, product type profit measure. COLOR = green.
-- Rewritten: the FROM list as JOINs.
SELECT nation, o_year, SUM(amount) AS sum_profit
FROM (
    SELECT n_name AS nation,
           EXTRACT(YEAR FROM o_orderdate) AS o_year,
           l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity AS amount
    FROM supply.part
    JOIN logistics.lineitem ON p_partkey = l_partkey
    JOIN supply.supplier ON s_suppkey = l_suppkey
    JOIN supply.partsupp ON ps_suppkey = l_suppkey AND ps_partkey = l_partkey
    JOIN sales.orders ON o_orderkey = l_orderkey
    JOIN supply.nation ON s_nationkey = n_nationkey
    WHERE p_name LIKE '%green%'
) AS profit
GROUP BY nation, o_year
ORDER BY nation, o_year DESC
