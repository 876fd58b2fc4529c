-- The correlation matrix, over zones, of taxi drop-offs per 1,000 residents (d), energy intensity of the buildings in
-- kBtu/ft² (eui), COVID-19 deaths per 100,000 residents (dr) and the share of critical restaurant violations (cs).
-- Zones count where there are 5 plausible buildings, 1 drop-off and 20 coded violations.
--
-- transport holds d, energy eui, health dr and cs.
-- Out come the number of zones and six correlations, with the moments they are made of; which zones counted stays hidden.
WITH t AS (
    SELECT z.modzcta, TRY_CAST(CAST(COUNT(*) AS DOUBLE) * 1000 / MAX(z.population) AS DECIMAL(14, 8)) AS d
    FROM transport.green_trips g
    JOIN public.zones z ON z.modzcta = g.do_modzcta
    GROUP BY z.modzcta
), e AS (
    SELECT modzcta, TRY_CAST(CAST(SUM(site_energy_mmbtu) AS DOUBLE) * 1000 / SUM(gfa_ft2) AS DECIMAL(14, 8)) AS eui
    FROM energy.buildings
    WHERE plausible = 1 AND modzcta IS NOT NULL
    GROUP BY modzcta
    HAVING COUNT(*) >= 5
), v AS (
    SELECT modzcta, CAST(SUM(critical) AS DOUBLE) / COUNT(critical) AS share
    FROM health.inspections
    WHERE modzcta IS NOT NULL
    GROUP BY modzcta
    HAVING COUNT(critical) >= 20
), h AS (
    SELECT c.modzcta,
           TRY_CAST(CAST(c.covid_deaths AS DOUBLE) * 100000 / c.population AS DECIMAL(14, 8)) AS dr,
           TRY_CAST(v.share AS DECIMAL(14, 12)) AS cs
    FROM health.covid_modzcta c
    JOIN v ON v.modzcta = c.modzcta
)
SELECT COUNT(*) AS n_zones,
       CORR(t.d, e.eui) AS d_eui,
       CORR(t.d, h.dr) AS d_dr,
       CORR(t.d, h.cs) AS d_cs,
       CORR(e.eui, h.dr) AS eui_dr,
       CORR(e.eui, h.cs) AS eui_cs,
       CORR(h.dr, h.cs) AS dr_cs
FROM public.zones z
JOIN t ON t.modzcta = z.modzcta
JOIN e ON e.modzcta = z.modzcta
JOIN h ON h.modzcta = z.modzcta
