-- TPC-H Q7, volume shipping. NATION1 = FRANCE, NATION2 = GERMANY.
-- Rewritten: the FROM list as JOINs.
SELECT supp_nation, cust_nation, l_year, SUM(volume) AS revenue
FROM (
    SELECT n1.n_name AS supp_nation,
           n2.n_name AS cust_nation,
           EXTRACT(YEAR FROM l_shipdate) AS l_year,
           l_extendedprice * (1 - l_discount) AS volume
    FROM supply.supplier
    JOIN logistics.lineitem ON s_suppkey = l_suppkey
    JOIN sales.orders ON o_orderkey = l_orderkey
    JOIN sales.customer ON c_custkey = o_custkey
    JOIN supply.nation n1 ON s_nationkey = n1.n_nationkey
    JOIN supply.nation n2 ON c_nationkey = n2.n_nationkey
    WHERE ((n1.n_name = 'FRANCE' AND n2.n_name = 'GERMANY') OR (n1.n_name = 'GERMANY' AND n2.n_name = 'FRANCE'))
      AND l_shipdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31'
) AS shipping
GROUP BY supp_nation, cust_nation, l_year
ORDER BY supp_nation, cust_nation, l_year
