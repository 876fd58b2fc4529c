-- By day of the week, January to July 2015: days, mean trips of the for-hire bases, mean peak demand for power, and on
-- how many days the power peak stood above 30 MW for every hundred trips while a restaurant had a critical violation.
--
-- transport holds the trips by base and day, energy the demand by the hour, health the violations.
-- Out come two counts and two means for each day of the week; no single day's figures do.
WITH t AS (
    SELECT "date" AS day, SUM(trips) AS trips
    FROM transport.fhv_daily
    GROUP BY "date"
), e AS (
    SELECT d.day, MAX(h.demand_mw) AS peak
    FROM public.days d
    JOIN energy.hourly_demand h ON TRY_CAST(SUBSTR(h.hour_start, 1, 10) AS DATE) = d.day
    GROUP BY d.day
), h AS (
    SELECT d.day, SUM(i.critical) AS critical
    FROM public.days d
    JOIN health.inspections i ON i."date" = d.day
    GROUP BY d.day
)
SELECT d.weekday,
       COUNT(*) AS days,
       AVG(t.trips) AS mean_trips,
       AVG(e.peak) AS mean_peak_mw,
       SUM(CASE WHEN e.peak * 100 > 30 * t.trips AND h.critical > 0 THEN 1 ELSE 0 END) AS strained_days
FROM public.days d
JOIN t ON t.day = d.day
JOIN e ON e.day = d.day
LEFT JOIN h ON h.day = d.day
GROUP BY d.weekday
ORDER BY d.weekday
