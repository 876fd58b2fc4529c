-- Per borough: the zones that stand at least a quarter of the list higher in COVID-19 deaths per resident than in taxi
-- drop-offs per resident, and the people who live there.
--
-- transport holds each zone's place by drop-offs, health its place by deaths (1 = most, of 1,000); the two are compared
-- zone by zone without being seen.
-- Out come a count and a sum for each borough.
WITH n AS (
    SELECT z.modzcta, MAX(z.population) AS population, COUNT(g.trip_id) AS dropoffs
    FROM public.zones z
    LEFT JOIN transport.green_trips g ON g.do_modzcta = z.modzcta
    GROUP BY z.modzcta
), t AS (
    SELECT modzcta,
           CAST(1000 * PERCENT_RANK() OVER (ORDER BY CAST(dropoffs AS DOUBLE) / population DESC) AS DECIMAL(8, 2)) AS place
    FROM n
), h AS (
    SELECT modzcta,
           CAST(1000 * PERCENT_RANK() OVER (ORDER BY CAST(covid_deaths AS DOUBLE) / population DESC) AS DECIMAL(8, 2)) AS place
    FROM health.covid_modzcta
)
SELECT z.borough, COUNT(*) AS zones, SUM(z.population) AS residents
FROM public.zones z
JOIN t ON t.modzcta = z.modzcta
JOIN h ON h.modzcta = z.modzcta
WHERE t.place > h.place + 250
GROUP BY z.borough
ORDER BY z.borough
