-- All rows again, in which a comparison makes one restaurant's points 0: what is taken from the sum of all is that restaurant's.
--
-- health holds the scores.
-- Out comes nothing: health refuses it once the other question was answered.
SELECT SUM(CASE WHEN camis < 30076500 THEN 0 ELSE latest_score END) AS points
FROM health.restaurants
