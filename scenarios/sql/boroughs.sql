-- Per borough: green-taxi pick-ups of January 2022, energy used by the benchmarked buildings, COVID-19 cases and deaths.
--
-- transport holds the trips, energy the buildings, health the cases and deaths.
-- Out come four sums for each borough; no zone's figure does.
WITH pickups AS (
    SELECT pu_modzcta AS modzcta, COUNT(*) AS n
    FROM transport.green_trips
    WHERE month = '2022-01' AND pu_modzcta IS NOT NULL
    GROUP BY pu_modzcta
), energy AS (
    SELECT modzcta, SUM(site_energy_mmbtu) AS mmbtu
    FROM energy.buildings
    WHERE plausible = 1 AND modzcta IS NOT NULL
    GROUP BY modzcta
)
SELECT z.borough,
       SUM(p.n) AS trips_2022_01,
       SUM(e.mmbtu) AS site_energy_mmbtu,
       SUM(c.covid_cases) AS covid_cases,
       SUM(c.covid_deaths) AS covid_deaths
FROM public.zones z
LEFT JOIN pickups p ON p.modzcta = z.modzcta
LEFT JOIN energy e ON e.modzcta = z.modzcta
LEFT JOIN health.covid_modzcta c ON c.modzcta = z.modzcta
GROUP BY z.borough
ORDER BY z.borough
