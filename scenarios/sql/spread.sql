-- Per borough, over zones where the Omicron wave ran above 1,000 weekly cases per 100,000 and energy use is above the
-- energy agency's own median zone: mean and spread of taxi drop-offs per 1,000 residents, and how they vary with the wave.
--
-- transport holds the drop-offs, energy whether a zone uses more per resident than its median zone, health the case rate.
-- Out come, for each borough, a count, a mean, a standard deviation and a covariance, with the moments they are made of.
WITH t AS (
    SELECT z.modzcta, TRY_CAST(CAST(COUNT(*) AS DOUBLE) * 1000 / MAX(z.population) AS DECIMAL(12, 4)) AS rate
    FROM transport.green_trips g
    JOIN public.zones z ON z.modzcta = g.do_modzcta
    GROUP BY z.modzcta
), use AS (
    SELECT z.modzcta, CAST(SUM(b.site_energy_mmbtu) AS DOUBLE) / MAX(z.population) AS each
    FROM energy.buildings b
    JOIN public.zones z ON z.modzcta = b.modzcta
    WHERE b.plausible = 1
    GROUP BY z.modzcta
), middle AS (
    SELECT MEDIAN(each) AS each FROM use
), e AS (
    SELECT u.modzcta, u.each > m.each AS high
    FROM use u
    CROSS JOIN middle m
), h AS (
    SELECT modzcta, CAST(AVG(CAST(case_rate_100k AS DOUBLE)) AS DECIMAL(12, 4)) AS wave
    FROM health.covid_weekly
    WHERE week_ending BETWEEN DATE '2022-01-01' AND DATE '2022-01-29'
    GROUP BY modzcta
)
SELECT z.borough,
       COUNT(*) AS zones,
       AVG(t.rate) AS mean_dropoffs,
       STDDEV(t.rate) AS spread_dropoffs,
       COVAR_SAMP(t.rate, h.wave) AS covariance_with_wave
FROM public.zones z
JOIN t ON t.modzcta = z.modzcta
JOIN e ON e.modzcta = z.modzcta
JOIN h ON h.modzcta = z.modzcta
WHERE e.high AND h.wave > 1000
GROUP BY z.borough
ORDER BY z.borough
