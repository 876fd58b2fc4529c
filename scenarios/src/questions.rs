//! The questions asked of the city: six for the demonstration, four with which real records are checked, and four in which agencies
//! meet record by record, on private keys and ranks; one of these the demonstration asks too. And one that the agencies refuse.

/// A question across the agencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Short name; the SQL is in `scenarios/sql/<id>.sql`.
    pub id: &'static str,
    /// The question in plain words.
    pub title: &'static str,
    /// The SQL, with its opening comment.
    pub sql: &'static str,
    /// The agencies whose tables it reads.
    pub silos: &'static [&'static str],
    /// For each of them, what it holds.
    pub who_holds_what: &'static [(&'static str, &'static str)],
    /// What is done across the agencies, and what stays hidden.
    pub note: &'static str,
}

const ALL: &[&str] = &["transport", "energy", "health"];

/// Asked by the demonstration, and one of those in which agencies meet record by record.
const ADDRESSES: Question = Question {
    id: "addresses",
    title: "How do restaurants fare in buildings of each energy grade?",
    sql: include_str!("../sql/addresses.sql"),
    silos: &["energy", "health"],
    who_holds_what: &[("energy", "addresses and grades of buildings"), ("health", "addresses, letters and scores of restaurants")],
    note: "Restaurants meet buildings on street addresses that are private on both sides, then fall into groups by a private grade.",
};

const DEMO: [Question; 6] = [
    Question {
        id: "underserved",
        title: "Where does the burden of COVID-19 rank far above the taxi service?",
        sql: include_str!("../sql/underserved.sql"),
        silos: &["transport", "health"],
        who_holds_what: &[
            ("transport", "each zone's place by drop-offs per resident"),
            ("health", "each zone's place by deaths per resident"),
        ],
        note: "A figure of transport is compared with a figure of health, zone by zone; neither is seen, nor which zones passed.",
    },
    Question {
        id: "burden",
        title: "How do COVID-19 deaths divide between zones busier by taxi and zones busier by building energy?",
        sql: include_str!("../sql/burden.sql"),
        silos: ALL,
        who_holds_what: &[
            ("transport", "each zone's part of the city's drop-offs"),
            ("energy", "each zone's part of the city's building energy"),
            ("health", "each zone's deaths"),
        ],
        note: "Two agencies' figures decide, in a CASE, where the third agency's figure is counted.",
    },
    Question {
        id: "climate",
        title: "Does childhood asthma go with energy-hungry buildings, and with long taxi trips?",
        sql: include_str!("../sql/climate.sql"),
        silos: ALL,
        who_holds_what: &[
            ("transport", "mean trip duration by neighbourhood"),
            ("energy", "kBtu per square foot by neighbourhood"),
            ("health", "asthma emergencies of children by neighbourhood"),
        ],
        note: "Correlations from products across agencies; the planner sees the moments, no neighbourhood's figure.",
    },
    Question {
        id: "days",
        title: "By day of the week: for-hire trips, peak power, and days on which power ran high for the traffic",
        sql: include_str!("../sql/days.sql"),
        silos: ALL,
        who_holds_what: &[
            ("transport", "for-hire trips by base and day"),
            ("energy", "power demand by the hour"),
            ("health", "restaurant violations by day"),
        ],
        note: "Records meet on 212 public days; a comparison between two agencies and a condition of the third are joined by AND.",
    },
    Question {
        id: "spread",
        title: "Per borough, among zones hit hard by Omicron with high energy use: mean and spread of taxi drop-offs",
        sql: include_str!("../sql/spread.sql"),
        silos: ALL,
        who_holds_what: &[
            ("transport", "drop-offs per 1,000 residents by zone"),
            ("energy", "whether a zone uses more energy per resident than its median zone"),
            ("health", "weekly case rates by zone"),
        ],
        note: "Two agencies decide which zones count; mean, standard deviation and covariance are of those zones only.",
    },
    ADDRESSES,
];

const REAL: [Question; 4] = [
    Question {
        id: "boroughs",
        title: "Per borough: green-taxi pick-ups in January 2022, building energy, COVID-19 cases and deaths",
        sql: include_str!("../sql/boroughs.sql"),
        silos: ALL,
        who_holds_what: &[("transport", "trips"), ("energy", "buildings"), ("health", "cases and deaths by zone")],
        note: "Q1 of the data pack: sums by a public key.",
    },
    Question {
        id: "correlations",
        title: "Correlations over zones: taxi drop-offs, energy intensity, COVID-19 deaths, critical violations",
        sql: include_str!("../sql/correlations.sql"),
        silos: ALL,
        who_holds_what: &[
            ("transport", "drop-offs per 1,000 residents"),
            ("energy", "kBtu per square foot"),
            ("health", "deaths per 100,000 residents and the share of critical violations"),
        ],
        note: "Q2 of the data pack: products across agencies over zones that each agency admits by a private count.",
    },
    Question {
        id: "thresholds",
        title: "How many zones exceed a drop-off, an energy and a death threshold together?",
        sql: include_str!("../sql/thresholds.sql"),
        silos: ALL,
        who_holds_what: &[("transport", "drop-offs"), ("energy", "building energy"), ("health", "deaths")],
        note: "A joint filter: the count comes out, which zones they are does not.",
    },
    Question {
        id: "asthma",
        title: "Mean trip duration in neighbourhoods above and not above the median rate of child asthma",
        sql: include_str!("../sql/asthma.sql"),
        silos: &["transport", "health"],
        who_holds_what: &[
            ("transport", "trips of January 2024"),
            ("health", "the asthma rate, and so one private bit, of each neighbourhood"),
        ],
        note: "The grouping of Q9 of the data pack: transport's sums are split by a bit that only health knows.",
    },
];

const RECORDS: [Question; 4] = [
    ADDRESSES,
    Question {
        id: "omicron",
        title: "Did the Omicron wave go with taxi traffic, by value, by rank, and given building energy?",
        sql: include_str!("../sql/omicron.sql"),
        silos: ALL,
        who_holds_what: &[
            ("transport", "drop-offs per 1,000 residents"),
            ("energy", "building energy per resident"),
            ("health", "mean weekly case rates"),
        ],
        note: "Q3 of the data pack: which zones count is decided by all three, so the ranks are taken across agencies.",
    },
    Question {
        id: "quartiles",
        title: "Restaurant violations by their zone's quarter in taxi traffic and third in building energy",
        sql: include_str!("../sql/quartiles.sql"),
        silos: ALL,
        who_holds_what: &[
            ("transport", "each zone's quarter by drop-offs per km²"),
            ("energy", "each zone's third by energy per resident"),
            ("health", "violations, one record each"),
        ],
        note: "Q8 of the data pack: records of one agency fall into classes that two others hold.",
    },
    Question {
        id: "percentiles",
        title: "Median and 90th percentile of trip duration above and not above the median rate of child asthma",
        sql: include_str!("../sql/percentiles.sql"),
        silos: &["transport", "health"],
        who_holds_what: &[
            ("transport", "trips of January 2024"),
            ("health", "the asthma rate, and so one private bit, of each neighbourhood"),
        ],
        note: "Q9 of the data pack: one agency's records are ranked within groups that only the other can tell apart.",
    },
];

const REFUSED: Question = Question {
    id: "tips",
    title: "What do taxi passengers tip on the way to zones hit hard by COVID-19?",
    sql: include_str!("../sql/tips.sql"),
    silos: &["transport", "health"],
    who_holds_what: &[("transport", "tips by zone"), ("health", "deaths by zone")],
    note: "Transport's contract says nothing of money: every agency's node refuses, and nothing is computed.",
};

/// A question that the contracts do not allow ([`crate::allowed`]).
pub fn refused() -> &'static Question {
    &REFUSED
}

/// The six questions of `tacit demo`.
pub fn demo() -> &'static [Question] {
    &DEMO
}

/// The four questions that are checked on the real records.
pub fn real() -> &'static [Question] {
    &REAL
}

/// The four questions in which agencies meet record by record.
pub fn records() -> &'static [Question] {
    &RECORDS
}

/// All questions, each once: the demonstration's, those checked on the real records, those of records.
pub fn questions() -> impl Iterator<Item = &'static Question> {
    let shown_already = |q: &&Question| DEMO.iter().any(|d| d.id == q.id);
    DEMO.iter().chain(&REAL).chain(RECORDS.iter().filter(move |q| !shown_already(q)))
}

/// The question of this name, the refused one included.
pub fn question(id: &str) -> Option<&'static Question> {
    questions().chain([refused()]).find(|q| q.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PARTIES;

    #[test]
    fn each_question_reads_the_silos_it_names() {
        for q in questions().chain([refused()]) {
            let code: String = q.sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
            let read: Vec<_> = PARTIES.iter().copied().filter(|p| code.contains(&format!("{p}."))).collect();
            let told: Vec<_> = q.who_holds_what.iter().map(|(party, _)| *party).collect();
            assert_eq!(read, q.silos, "{}", q.id);
            assert_eq!(read, told, "{}", q.id);
        }
    }

    #[test]
    fn each_file_opens_with_what_it_asks_and_names_are_unique() {
        let mut ids: Vec<_> = questions().map(|q| q.id).collect();
        assert!(questions().chain([refused()]).all(|q| q.sql.starts_with("-- ") && q.sql.contains("Out come")));
        assert!(questions().all(|q| question(q.id) == Some(q)));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 13);
    }
}
