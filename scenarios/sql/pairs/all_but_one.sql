-- The same without one restaurant, the one with the smallest number: what is taken from what came out before is that restaurant.
--
-- health holds the violations, transport the trips.
-- Out comes nothing: health refuses it once the other question was answered.
WITH i AS (
    SELECT modzcta, COUNT(*) AS violations, COUNT(score) AS scored, SUM(score) AS points
    FROM health.inspections
    WHERE modzcta IS NOT NULL AND camis > 30076500
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
