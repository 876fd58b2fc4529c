-- How many zones exceed three thresholds together: 2 taxi drop-offs per 1,000 residents, 8 MMBtu of building energy a
-- resident, 250 COVID-19 deaths per 100,000 residents? And how many people live there?
--
-- transport holds the drop-offs, energy the energy use, health the deaths.
-- Out come a count and a sum of residents. Which zones they are is told to nobody, nor which threshold a zone passes.
WITH t AS (
    SELECT do_modzcta AS modzcta, COUNT(*) AS dropoffs
    FROM transport.green_trips
    WHERE do_modzcta IS NOT NULL
    GROUP BY do_modzcta
), e AS (
    SELECT modzcta, SUM(site_energy_mmbtu) AS mmbtu
    FROM energy.buildings
    WHERE plausible = 1 AND modzcta IS NOT NULL
    GROUP BY modzcta
)
SELECT COUNT(*) AS zones, SUM(z.population) AS residents
FROM public.zones z
JOIN t ON t.modzcta = z.modzcta
JOIN e ON e.modzcta = z.modzcta
JOIN health.covid_modzcta c ON c.modzcta = z.modzcta
WHERE t.dropoffs * 1000 > 2 * z.population
  AND e.mmbtu > 8 * z.population
  AND c.covid_deaths * 100000 > 250 * z.population
