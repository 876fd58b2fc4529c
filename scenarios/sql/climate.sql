-- Over neighbourhoods: does childhood asthma go with energy-hungry buildings, and with long taxi trips?
--
-- energy holds the buildings' intensity (kBtu/ft²), transport the mean trip duration (s), health the rate of asthma
-- emergencies among children (per 10,000).
-- Out come the number of neighbourhoods and two correlations, with the moments they are made of.
WITH e AS (
    SELECT uhf42, TRY_CAST(CAST(SUM(site_energy_mmbtu) AS DOUBLE) * 1000 / SUM(gfa_ft2) AS DECIMAL(10, 4)) AS intensity
    FROM energy.buildings
    WHERE plausible = 1 AND uhf42 IS NOT NULL
    GROUP BY uhf42
), t AS (
    SELECT pu_uhf42 AS uhf42, CAST(AVG(duration_s) AS DECIMAL(10, 4)) AS duration
    FROM transport.green_trips
    WHERE pu_uhf42 IS NOT NULL
    GROUP BY pu_uhf42
)
SELECT COUNT(*) AS neighbourhoods,
       CORR(e.intensity, i.asthma_ed_5_17_rate) AS asthma_and_energy,
       CORR(t.duration, i.asthma_ed_5_17_rate) AS asthma_and_duration
FROM public.neighbourhoods u
JOIN e ON e.uhf42 = u.uhf42
JOIN t ON t.uhf42 = u.uhf42
JOIN health.uhf42_indicators i ON i.uhf42 = u.uhf42
