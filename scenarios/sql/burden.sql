-- How the city's COVID-19 deaths divide between zones that are busier by taxi than by building energy, zones where it is
-- the other way round, and zones for which one of the two agencies has no figure.
--
-- transport holds each zone's drop-offs in millionths of the city's, energy its energy use in millionths, health the
-- deaths: the class of a zone is decided between two agencies, what is summed comes from the third.
-- Out come three sums of deaths.
WITH t AS (
    SELECT do_modzcta AS modzcta, COUNT(*) AS dropoffs
    FROM transport.green_trips
    WHERE do_modzcta IS NOT NULL
    GROUP BY do_modzcta
), taxi AS (
    SELECT modzcta, TRY_CAST(CAST(dropoffs AS DOUBLE) * 1000000 / SUM(dropoffs) OVER () AS DECIMAL(10, 2)) AS part
    FROM t
), e AS (
    SELECT modzcta, SUM(site_energy_mmbtu) AS mmbtu
    FROM energy.buildings
    WHERE plausible = 1 AND modzcta IS NOT NULL
    GROUP BY modzcta
), heat AS (
    SELECT modzcta, TRY_CAST(CAST(mmbtu AS DOUBLE) * 1000000 / SUM(mmbtu) OVER () AS DECIMAL(10, 2)) AS part
    FROM e
)
SELECT SUM(CASE WHEN taxi.part > heat.part THEN c.covid_deaths ELSE 0 END) AS deaths_busier_by_taxi,
       SUM(CASE WHEN taxi.part <= heat.part THEN c.covid_deaths ELSE 0 END) AS deaths_busier_by_energy,
       SUM(CASE WHEN taxi.part IS NULL OR heat.part IS NULL THEN c.covid_deaths ELSE 0 END) AS deaths_unclassed
FROM public.zones z
LEFT JOIN taxi ON taxi.modzcta = z.modzcta
LEFT JOIN heat ON heat.modzcta = z.modzcta
JOIN health.covid_modzcta c ON c.modzcta = z.modzcta
