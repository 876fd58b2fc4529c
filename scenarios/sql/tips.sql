-- How much do taxi passengers tip on the way to zones with more than 250 COVID-19 deaths per 100,000 residents?
--
-- transport holds the tips, health the deaths.
-- Out comes nothing: the contract for the trips says nothing of money, so no agency runs it.
WITH t AS (
    SELECT do_modzcta AS modzcta, SUM(tip_usd) AS tips, COUNT(*) AS trips
    FROM transport.green_trips
    WHERE do_modzcta IS NOT NULL
    GROUP BY do_modzcta
)
SELECT SUM(t.tips) AS tips, SUM(t.trips) AS trips
FROM public.zones z
JOIN t ON t.modzcta = z.modzcta
JOIN health.covid_modzcta c ON c.modzcta = z.modzcta
WHERE c.covid_deaths * 100000 > 250 * z.population
