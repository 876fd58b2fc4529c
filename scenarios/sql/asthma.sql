-- The mean duration of taxi trips that begin in neighbourhoods whose child-asthma emergency rate is above the median
-- neighbourhood's, and of those that begin elsewhere; January 2024.
--
-- transport holds the trips, health the asthma rates and, from them, one private bit for each neighbourhood.
-- Out come four sums (seconds and trips, above and not above) and the two means; the bits do not.
WITH trips AS (
    SELECT pu_uhf42 AS uhf42, COUNT(*) AS n, SUM(duration_s) AS seconds
    FROM transport.green_trips
    WHERE month = '2024-01' AND pu_uhf42 IS NOT NULL
    GROUP BY pu_uhf42
), median AS (
    SELECT MEDIAN(CAST(asthma_ed_5_17_rate AS DOUBLE)) AS rate
    FROM health.uhf42_indicators
), asthma AS (
    SELECT i.uhf42, CAST(i.asthma_ed_5_17_rate AS DOUBLE) > m.rate AS above
    FROM health.uhf42_indicators i
    CROSS JOIN median m
)
SELECT SUM(CASE WHEN a.above THEN t.n ELSE 0 END) AS trips_above,
       CAST(SUM(CASE WHEN a.above THEN t.seconds ELSE 0 END) AS DOUBLE)
           / SUM(CASE WHEN a.above THEN t.n ELSE 0 END) AS mean_s_above,
       SUM(CASE WHEN a.above THEN 0 ELSE t.n END) AS trips_below,
       CAST(SUM(CASE WHEN a.above THEN 0 ELSE t.seconds END) AS DOUBLE)
           / SUM(CASE WHEN a.above THEN 0 ELSE t.n END) AS mean_s_below
FROM public.neighbourhoods u
JOIN trips t ON t.uhf42 = u.uhf42
JOIN asthma a ON a.uhf42 = u.uhf42
