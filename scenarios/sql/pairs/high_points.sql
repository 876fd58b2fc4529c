-- How many restaurants have more than 13 points, the limit of an A, and how many points do these have together?
--
-- health holds the scores.
-- Out come two figures, of a group that differs from all in many.
SELECT COUNT(latest_score) AS scored, SUM(latest_score) AS points
FROM health.restaurants
WHERE latest_score > 13
