//! Queries of a small grammar, from a fixed stream of numbers.

use super::check_all;

struct Stream(u64);

impl Stream {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const NUMBERS: [&str; 11] =
    ["t.stops", "t.wait", "t.shift", "e.kwh", "e.delta", "e.price", "h.cases", "h.deaths", "h.rate", "h.level", "z.area"];
const SMALL: [&str; 7] = ["t.stops", "t.shift", "e.delta", "h.level", "z.area", "t.wait", "e.price"];
const BITS: [&str; 4] = ["t.lift", "e.solar", "h.alert", "z.coast"];
const DATES: [&str; 2] = ["t.opened", "e.metered"];
const MOMENTS: [&str; 4] = ["t.seen", "e.read", "e.metered", "TIMESTAMP '1990-01-01 00:00:00'"];
const GRADES: [&str; 3] = ["t.grade", "e.grade", "h.grade"];
const COMPARISONS: [&str; 6] = ["<", "<=", ">", ">=", "=", "<>"];

impl Stream {
    fn value(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 2 } else { 6 }) {
            0 | 1 => self.pick(&NUMBERS).into(),
            2 => format!("({} + {})", self.value(depth - 1), self.value(depth - 1)),
            3 => format!("({} - {})", self.value(depth - 1), self.pick(&SMALL)),
            4 => format!("CASE WHEN {} THEN {} ELSE {} END", self.predicate(depth - 1), self.pick(&NUMBERS), self.pick(&SMALL)),
            _ => format!("COALESCE({}, {})", self.pick(&SMALL), self.below(9)),
        }
    }

    fn product(&mut self) -> String {
        format!("{} * {}", self.pick(&SMALL), self.pick(&SMALL))
    }

    fn predicate(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 5 } else { 9 }) {
            0 => self.pick(&BITS).into(),
            1 => {
                let (a, op, b) = (self.pick(&NUMBERS), self.pick(&COMPARISONS), self.pick(&NUMBERS));
                format!("{a} {op} {b}")
            }
            2 => {
                let (a, op) = (self.pick(&NUMBERS), self.pick(&COMPARISONS));
                format!("{a} {op} {}", self.below(300) as i64 - 50)
            }
            3 => match self.below(4) {
                0 => format!("{} {} {}", DATES[0], self.pick(&COMPARISONS), DATES[1]),
                1 => format!("{} = {}", self.pick(&GRADES), self.pick(&GRADES)),
                2 => format!("{} {} {}", MOMENTS[self.below(2)], self.pick(&COMPARISONS), self.pick(&MOMENTS)),
                _ => format!("{} = 'B'", self.pick(&GRADES)),
            },
            4 => format!("{} IS {}NULL", self.pick(&NUMBERS), self.pick(&["", "NOT "])),
            5 => format!("NOT ({})", self.predicate(depth - 1)),
            6 => format!("({}) IS {}", self.predicate(depth - 1), self.pick(&["TRUE", "NOT TRUE", "FALSE", "NULL", "NOT NULL"])),
            7 => format!("({} AND {})", self.predicate(depth - 1), self.predicate(depth - 1)),
            _ => format!("({} OR {})", self.predicate(depth - 1), self.predicate(depth - 1)),
        }
    }

    fn aggregate(&mut self) -> String {
        match self.below(9) {
            0 => "COUNT(*)".into(),
            1 => format!("COUNT({})", self.value(1)),
            2 | 3 => format!("SUM({})", self.value(2)),
            4 => format!("SUM({})", self.product()),
            5 => format!("AVG({})", self.value(1)),
            6 => format!("{}({})", self.pick(&["VAR_SAMP", "VAR_POP", "STDDEV", "STDDEV_POP"]), self.pick(&SMALL)),
            7 => format!("{}({}, {})", self.pick(&["COVAR_SAMP", "COVAR_POP"]), self.pick(&SMALL), self.pick(&SMALL)),
            _ => format!("CORR({}, {})", self.pick(&SMALL), self.pick(&NUMBERS)),
        }
    }

    fn query(&mut self) -> String {
        let joins = ["transport.stops t", "energy.load e", "health.stats h"].map(|table| {
            let alias = &table[table.len() - 1..];
            format!("{} {table} ON {alias}.zone = z.zone", self.pick(&["JOIN", "LEFT JOIN", "LEFT JOIN"]))
        });
        let by = self.pick(&["", "", "z.borough", "z.district", "z.coast", "z.borough, z.coast"]);
        let aggregates: Vec<String> = (0..1 + self.below(3)).map(|i| format!("{} AS a{i}", self.aggregate())).collect();
        let filter = if self.below(3) == 0 { String::new() } else { format!(" WHERE {}", self.predicate(2)) };
        let (keys, group) = if by.is_empty() { (String::new(), String::new()) } else { (format!("{by}, "), format!(" GROUP BY {by}")) };
        format!("SELECT {keys}{} FROM public.zones z {}{filter}{group}", aggregates.join(", "), joins.join(" "))
    }
}

fn queries(seed: u64, n: usize) -> Vec<String> {
    let mut stream = Stream(seed);
    (0..n).map(|_| stream.query()).collect()
}

#[test]
fn a_hundred_and_twenty_queries() {
    check_all(queries(1, 120).iter().map(String::as_str));
}
