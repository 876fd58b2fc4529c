-- How many violations were found in restaurants of each borough, in zones with more than 50 taxi drop-offs, and what is their mean score?
--
-- health holds the violations, transport the trips.
-- Out come two figures for each borough.
WITH i AS (
    SELECT modzcta, COUNT(*) AS violations, COUNT(score) AS scored, SUM(score) AS points
    FROM health.inspections
    WHERE modzcta IS NOT NULL
    GROUP BY modzcta
),
t AS (
    SELECT do_modzcta AS modzcta, COUNT(*) AS trips
    FROM transport.green_trips
    WHERE do_modzcta IS NOT NULL
    GROUP BY do_modzcta
)
SELECT z.borough, SUM(i.violations) AS violations, SUM(i.points) AS points
FROM public.zones z
JOIN i ON i.modzcta = z.modzcta
JOIN t ON t.modzcta = z.modzcta
WHERE t.trips > 50
GROUP BY z.borough
ORDER BY z.borough
