-- How many restaurants have a score from their latest inspection, and how many points do they have together?
--
-- health holds the scores.
-- Out come two figures.
SELECT COUNT(latest_score) AS scored, SUM(latest_score) AS points
FROM health.restaurants
