-- Median and 90th percentile of the duration of taxi trips of January 2024 that begin in neighbourhoods whose child-asthma
-- emergency rate is above the median neighbourhood's, and of those that begin elsewhere.
--
-- transport holds the trips, health the asthma rates and, from them, one private bit for each neighbourhood: trips are sorted
-- together with a bit that transport does not see.
-- Out come a count and two durations for each of the two groups; neither the bits nor any other trip's duration do.
WITH rates AS (
    SELECT uhf42, CAST(asthma_ed_5_17_rate AS DOUBLE) AS rate
    FROM health.uhf42_indicators
), median AS (
    SELECT MEDIAN(rate) AS rate FROM rates
), asthma AS (
    SELECT r.uhf42, r.rate > m.rate AS above
    FROM rates r
    CROSS JOIN median m
), ranked AS (
    SELECT a.above,
           g.duration_s,
           ROW_NUMBER() OVER (PARTITION BY a.above ORDER BY g.duration_s) AS place,
           COUNT(*) OVER (PARTITION BY a.above) AS n
    FROM transport.green_trips g
    JOIN asthma a ON a.uhf42 = g.pu_uhf42
    WHERE g.month = '2024-01'
)
SELECT above,
       COUNT(*) AS n,
       MIN(duration_s) FILTER (WHERE 2 * place >= n) AS p50,
       MIN(duration_s) FILTER (WHERE 10 * place >= 9 * n) AS p90
FROM ranked
GROUP BY above
ORDER BY above
