-- Every violation of the cycle inspections, by its zone's quarter in taxi drop-offs per km² and third in building energy per
-- resident: violations, critical ones, and the sum of the inspection scores.
--
-- transport holds each zone's quarter, energy its third, health the violations: some 400,000 records are put into twelve
-- classes by two figures that health does not see, and whose owners do not see the records.
-- Out come three figures for each class; no zone's class does.
WITH drops AS (
    SELECT z.modzcta, MAX(z.area_km2) AS area, COUNT(g.trip_id) AS n
    FROM public.zones z
    LEFT JOIN transport.green_trips g ON g.do_modzcta = z.modzcta
    GROUP BY z.modzcta
), t AS (
    SELECT modzcta, NTILE(4) OVER (ORDER BY CAST(n AS DOUBLE) / CAST(area AS DOUBLE), modzcta) AS taxi
    FROM drops
), used AS (
    SELECT z.modzcta, MAX(z.population) AS population, COALESCE(SUM(b.site_energy_mmbtu), 0) AS mmbtu
    FROM public.zones z
    LEFT JOIN (SELECT modzcta, site_energy_mmbtu FROM energy.buildings WHERE plausible = 1) b ON b.modzcta = z.modzcta
    GROUP BY z.modzcta
), e AS (
    SELECT modzcta, NTILE(3) OVER (ORDER BY CAST(mmbtu AS DOUBLE) / population, modzcta) AS energy
    FROM used
)
SELECT t.taxi, e.energy, COUNT(*) AS records, SUM(i.critical) AS critical, SUM(i.score) AS score_sum
FROM health.inspections i
JOIN t ON t.modzcta = i.modzcta
JOIN e ON e.modzcta = i.modzcta
WHERE i.cycle = 1 AND i.critical IS NOT NULL AND i.score IS NOT NULL
GROUP BY t.taxi, e.energy
ORDER BY t.taxi, e.energy
