use super::*;

fn nyc() -> Catalog {
    Catalog::parse(include_str!("tests/nyc.toml")).expect("the catalogue of these tests is sound")
}

#[test]
fn the_same_question_has_the_same_hash() {
    let catalog = nyc();
    let a = compile("SELECT COUNT(*) AS n FROM health.covid c JOIN energy.grades g ON c.modzcta = g.modzcta WHERE c.covid_deaths > g.score", &catalog);
    let b = compile("select count(*)  as n\nfrom health.covid c join energy.grades g on c.modzcta=g.modzcta -- zones\nwhere c.covid_deaths > g.score", &catalog);
    assert_eq!(a.unwrap().hash(), b.unwrap().hash());
}
