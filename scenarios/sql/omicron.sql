-- The Omicron wave: over zones with at least 50 green-taxi drop-offs in January 2022 and 5 plausible buildings, how drop-offs
-- per 1,000 residents go with the mean weekly case rate of the five weeks to 29 January: by Pearson's correlation, by Spearman's
-- (of ranks), and by the partial correlation given building energy per resident.
--
-- transport holds the drop-offs, energy the energy, health the case rates. Which zones count is decided by all three, so the
-- ranks are made across agencies.
-- Out come the number of zones and the three coefficients, with the moments they are made of; no zone's rank does.
WITH t AS (
    SELECT z.modzcta, TRY_CAST(CAST(COUNT(*) AS DOUBLE) * 1000 / MAX(z.population) AS DECIMAL(14, 8)) AS x
    FROM transport.green_trips g
    JOIN public.zones z ON z.modzcta = g.do_modzcta
    WHERE g.month = '2022-01'
    GROUP BY z.modzcta
    HAVING COUNT(*) >= 50
), e AS (
    SELECT z.modzcta, TRY_CAST(CAST(SUM(b.site_energy_mmbtu) AS DOUBLE) / MAX(z.population) AS DECIMAL(14, 8)) AS e
    FROM energy.buildings b
    JOIN public.zones z ON z.modzcta = b.modzcta
    WHERE b.plausible = 1
    GROUP BY z.modzcta
    HAVING COUNT(*) >= 5
), h AS (
    SELECT modzcta, TRY_CAST(AVG(CAST(case_rate_100k AS DOUBLE)) AS DECIMAL(14, 8)) AS y
    FROM health.covid_weekly
    WHERE week_ending BETWEEN DATE '2022-01-01' AND DATE '2022-01-29'
    GROUP BY modzcta
), zones AS (
    SELECT t.x, h.y, e.e
    FROM t
    JOIN e ON e.modzcta = t.modzcta
    JOIN h ON h.modzcta = t.modzcta
), ranked AS (
    -- twice the mean rank of equal values, but for a constant
    SELECT x, y, e,
           2 * RANK() OVER (ORDER BY x) + COUNT(*) OVER (PARTITION BY x) AS rank_x,
           2 * RANK() OVER (ORDER BY y) + COUNT(*) OVER (PARTITION BY y) AS rank_y
    FROM zones
)
SELECT COUNT(*) AS n_zones,
       CORR(x, y) AS pearson,
       (CORR(x, y) - CORR(x, e) * CORR(y, e))
           / SQRT((1 - CORR(x, e) * CORR(x, e)) * (1 - CORR(y, e) * CORR(y, e))) AS partial_given_energy_per_capita,
       CORR(rank_x, rank_y) AS spearman
FROM ranked
