-- Restaurants in buildings that have an energy grade: per grade the restaurants and their addresses, how many of them have a
-- letter and how many an A, and count, sum and sum of squares of their latest inspection scores.
--
-- energy holds the buildings' addresses and grades, health the restaurants' addresses, letters and scores. Both addresses are
-- private: the two meet row by row on a key nobody sees, and nobody learns which restaurant is in which building.
-- Out come seven figures for each grade.
SELECT g.grade,
       COUNT(*) AS restaurants,
       COUNT(DISTINCT r.address_key) AS addresses,
       SUM(CASE WHEN r.latest_grade = 'A' THEN 1 ELSE 0 END) AS grade_a,
       SUM(CASE WHEN r.latest_grade IN ('A', 'B', 'C') THEN 1 ELSE 0 END) AS graded,
       SUM(r.latest_score) AS score_sum,
       COUNT(r.latest_score) AS score_n,
       SUM(r.latest_score * r.latest_score) AS score_sq
FROM health.restaurants r
JOIN energy.graded_buildings g ON g.address_key = r.address_key
GROUP BY g.grade
ORDER BY g.grade
