//! Where in the text a construct is. The logical plan keeps positions of columns only; everything else is found again among the tokens.

use datafusion::{
    common::{
        DataFusionError, SchemaError,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::Expr,
    sql::sqlparser::{
        dialect::GenericDialect,
        keywords::Keyword,
        tokenizer::{Token, TokenWithSpan, Tokenizer},
    },
};

use super::{SqlError, facts};

/// Line and column, from 1.
pub(crate) type Place = (u64, u64);

/// Where a text begins.
pub(super) fn first(sql: &str) -> Option<Place> {
    let start = sql.find(|c: char| !c.is_whitespace())?;
    let line = sql[..start].matches('\n').count() as u64 + 1;
    let column = sql[..start].chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
    Some((line, column))
}

/// The first occurrence of a word in a text.
pub(crate) fn place_of(sql: &str, word: &str) -> Option<Place> {
    let tokens = Tokenizer::new(&GenericDialect, sql).tokenize_with_location().ok()?;
    Text::new(&tokens).word(word)
}

/// The first mention of a column of a table in a text: by the table's name or what it is called there; without either; or whatever has the column's name.
pub(crate) fn place_of_column(sql: &str, table: &str, column: &str) -> Option<Place> {
    let tokens = Tokenizer::new(&GenericDialect, sql).tokenize_with_location().ok()?;
    let text = Text::new(&tokens);
    text.column(table, column).or_else(|| text.word(column))
}

/// The only occurrence in a text of any of these words.
pub(crate) fn only_place_of(sql: &str, words: &[&str]) -> Option<Place> {
    let tokens = Tokenizer::new(&GenericDialect, sql).tokenize_with_location().ok()?;
    let text = Text::new(&tokens);
    let mut places = words.iter().flat_map(|word| text.words(word)).map(|t| t.1);
    places.next().filter(|_| places.next().is_none())
}

/// The tokens of a query with their places.
#[derive(Debug)]
pub(super) struct Text {
    tokens: Vec<(Token, Place, usize)>,
}

impl Text {
    pub(super) fn new(tokens: &[TokenWithSpan]) -> Self {
        let mut depth = 0;
        let mut kept = Vec::new();
        for t in tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF)) {
            if t.token == Token::RParen {
                depth -= usize::from(depth > 0);
            }
            kept.push((t.token.clone(), (t.span.start.line, t.span.start.column), depth));
            if t.token == Token::LParen {
                depth += 1;
            }
        }
        Text { tokens: kept }
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn first(&self) -> Option<Place> {
        self.tokens.first().map(|t| t.1)
    }

    pub(super) fn last(&self) -> Option<Place> {
        self.tokens.last().map(|t| t.1)
    }

    /// The token behind the first `token`.
    pub(super) fn after(&self, token: &Token) -> Option<Place> {
        self.tokens.iter().skip_while(|t| t.0 != *token).nth(1).map(|t| t.1)
    }

    /// The least nested occurrence of a word, the last of equals: joint constructs are outside, what an owner does at home is inside.
    pub(super) fn keyword(&self, word: &str) -> Option<Place> {
        self.words(word).min_by_key(|t| (t.2, std::cmp::Reverse(t.1))).map(|t| t.1)
    }

    /// The first occurrence of a word.
    pub(super) fn word(&self, word: &str) -> Option<Place> {
        self.words(word).next().map(|t| t.1)
    }

    /// The last occurrence of a word at or before a place; without a place, as [`keyword`](Self::keyword).
    pub(super) fn before(&self, word: &str, place: Option<Place>) -> Option<Place> {
        match place {
            None => self.keyword(word),
            Some(p) => self.words(word).filter(|t| t.1 <= p).last().map(|t| t.1).or_else(|| self.keyword(word)),
        }
    }

    fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a (Token, Place, usize)> {
        self.tokens.iter().filter(move |(token, ..)| match token {
            Token::Word(w) => w.value.eq_ignore_ascii_case(word),
            Token::SingleQuotedString(text) => text == word,
            other => other.to_string() == word,
        })
    }

    /// The first place of a table: `schema.name`.
    pub(super) fn table(&self, schema: &str, name: &str) -> Option<Place> {
        self.tables(schema, name).next().map(|t| t.1)
    }

    /// Its most nested place: that of a sub-query.
    fn nested_table(&self, schema: &str, name: &str) -> Option<Place> {
        self.tables(schema, name).max_by_key(|t| (t.2, std::cmp::Reverse(t.1))).map(|t| t.1)
    }

    fn column(&self, table: &str, column: &str) -> Option<Place> {
        let (schema, name) = table.split_once('.')?;
        let word = |at: usize| self.tokens.get(at).and_then(|t| if let Token::Word(w) = &t.0 { Some(w) } else { None });
        let mut names = vec![name];
        for from in (0..self.tokens.len()).filter(|at| self.is_table(*at, schema, name)) {
            let called = from + 3 + usize::from(word(from + 3).is_some_and(|w| w.keyword == Keyword::AS));
            names.extend(word(called).filter(|w| w.keyword == Keyword::NoKeyword || w.quote_style.is_some()).map(|w| w.value.as_str()));
        }
        let is = |at: usize, value: &str| word(at).is_some_and(|w| w.value.eq_ignore_ascii_case(value));
        let is_dot = |at: usize| self.tokens.get(at).is_some_and(|t| t.0 == Token::Period);
        let all = || (0..self.tokens.len()).filter(|at| is(*at, column));
        let of_it = |at: &usize| *at > 1 && is_dot(at - 1) && names.iter().any(|name| is(at - 2, name));
        let bare = |at: &usize| *at == 0 || !is_dot(at - 1);
        all().find(of_it).or_else(|| all().find(bare)).map(|at| self.tokens[at].1)
    }

    fn is_table(&self, at: usize, schema: &str, name: &str) -> bool {
        let word = |t: &(Token, Place, usize), w: &str| matches!(&t.0, Token::Word(x) if x.value.eq_ignore_ascii_case(w));
        matches!(self.tokens.get(at..at + 3), Some([a, dot, b]) if word(a, schema) && dot.0 == Token::Period && word(b, name))
    }

    fn tables<'a>(&'a self, schema: &'a str, name: &'a str) -> impl Iterator<Item = &'a (Token, Place, usize)> {
        (0..self.tokens.len()).filter(move |at| self.is_table(*at, schema, name)).map(|at| &self.tokens[at])
    }

    /// The first column of an expression that stands in the text. Where rewriting lost its place, the first column of that name.
    pub(super) fn expr(&self, expr: &Expr) -> Option<Place> {
        let mut place: Option<Place> = None;
        let _ = expr.apply(|e| {
            let at = match e {
                Expr::Column(c) => {
                    let span = c.spans().first().map(|s| (s.start.line, s.start.column)).filter(|p| p.0 > 0);
                    span.or_else(|| c.relation.as_ref().and_then(|r| self.table(r.table(), &c.name))).or_else(|| self.word(&c.name))
                }
                Expr::ScalarSubquery(s) => facts::tables(&s.subquery)
                    .iter()
                    .find_map(|t| t.split_once('.').and_then(|(schema, name)| self.nested_table(schema, name))),
                _ => None,
            };
            place = match (place, at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            Ok(TreeNodeRecursion::Continue)
        });
        place
    }

    /// The number, also one in quotes, of which this is most.
    fn number_with_most(&self, of: impl Fn(Digits) -> u64) -> Option<(&str, u64, Place)> {
        let numbers = self.tokens.iter().filter_map(|(token, place, _)| match token {
            Token::Number(text, _) | Token::SingleQuotedString(text) => Some((text.as_str(), of(Digits::of(text)?), *place)),
            _ => None,
        });
        numbers.reduce(|a, b| if b.1 > a.1 { b } else { a })
    }

    /// Of what DataFusion says of a number that no DECIMAL holds, or not the one that it meets: which number it is.
    fn too_long(&self, root: &DataFusionError) -> Option<SqlError> {
        match root {
            DataFusionError::NotImplemented(m) if m.starts_with("Decimal scale") || m.starts_with("Decimal precision") => {
                let (number, digits, place) = self.number_with_most(|d| d.before + d.behind)?;
                let message = format!("{number} has {digits} digits, before and behind its point, and no DECIMAL has more than {DIGITS}");
                Some(SqlError::width(message, format!("write a number of at most {DIGITS} digits")).at(Some(place)))
            }
            DataFusionError::ArrowError(e, _) => {
                let message = e.to_string();
                let (precision, scale) = message.split_once("Cannot cast to Decimal128(")?.1.split_once(')')?.0.split_once(", ")?;
                let before = precision.parse::<u64>().ok()?.checked_sub(scale.parse().ok()?)?;
                let (number, _, place) = self.number_with_most(|d| d.before).filter(|(_, digits, _)| *digits > before)?;
                let message =
                    format!("{number} has more digits before its point than DECIMAL({precision}, {scale}), the type of what it meets");
                Some(SqlError::width(message, format!("write a number with at most {before} digits before its point")).at(Some(place)))
            }
            _ => None,
        }
    }

    /// DataFusion's error in our words, with the place it names or that of the name it complains of.
    pub(super) fn explain(&self, error: &DataFusionError) -> SqlError {
        if let Some(refused) = self.too_long(root(error)) {
            return refused;
        }
        let place = error.diagnostic().and_then(|d| d.span).map(|s| (s.start.line, s.start.column)).filter(|p| p.0 > 0);
        let root = root(error);
        let (message, fix, word) = match root {
            DataFusionError::SchemaError(e, _) => match e.as_ref() {
                SchemaError::FieldNotFound { field, valid_fields } => {
                    let mut known: Vec<_> = valid_fields.iter().map(|c| c.flat_name()).collect();
                    known.truncate(12);
                    let fix = if known.is_empty() {
                        "name a column of a table in FROM".to_owned()
                    } else {
                        format!("there are {}", known.join(", "))
                    };
                    (format!("there is no column {}", field.flat_name()), fix, Some(field.name.clone()))
                }
                SchemaError::AmbiguousReference { field } => (
                    format!("the column {} is in more than one relation", field.name),
                    "write the relation before it, as in t.column".to_owned(),
                    Some(field.name.clone()),
                ),
                other => (other.to_string(), "correct the SQL".to_owned(), None),
            },
            DataFusionError::Plan(m) | DataFusionError::Execution(m) => {
                let word = m
                    .split(['\'', '`'])
                    .nth(1)
                    .or_else(|| m.strip_prefix("there is no table ").and_then(|rest| rest.split([';', '.']).next()));
                match no_signature(m) {
                    Some((function, types)) => (
                        format!("{}() does not take {types}", function.to_uppercase()),
                        "give it an argument of another type, with TRY_CAST(… AS …) if need be".to_owned(),
                        Some(function),
                    ),
                    None => (first_line(m), "correct the SQL".to_owned(), word.map(str::to_owned)),
                }
            }
            DataFusionError::NotImplemented(m) => {
                let word =
                    m.split(|c: char| !c.is_alphanumeric()).find(|w| w.len() > 1 && *w == w.to_uppercase() && self.word(w).is_some());
                (format!("not supported: {}", first_line(m)), "write it another way".to_owned(), word.map(str::to_owned))
            }
            DataFusionError::ArrowError(e, _) if cast_failed(&e.to_string()).is_some() => {
                let (text, ty) = cast_failed(&e.to_string()).unwrap_or_default();
                (format!("'{text}' is not a value of type {ty}"), example(ty).to_owned(), Some(text))
            }
            other => (first_line(&other.strip_backtrace()), "correct the SQL".to_owned(), None),
        };
        let place = place.or_else(|| word.as_deref().and_then(|w| self.word(w))).or_else(|| self.keyword("SELECT")).or(self.first());
        match root {
            DataFusionError::NotImplemented(_) => SqlError::unsupported(message, fix).at(place),
            _ => SqlError::sql(message, fix).at(place),
        }
    }
}

/// Digits of a DECIMAL.
const DIGITS: u8 = 38;

/// How many digits a number has that is written, zeros included that an exponent stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digits {
    before: u64,
    behind: u64,
}

impl Digits {
    fn of(number: &str) -> Option<Self> {
        let number = number.trim_start_matches(['-', '+']);
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i64 = exponent.parse().ok()?;
        if whole.len() + rest.len() == 0 || !whole.bytes().chain(rest.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let rest = rest.trim_end_matches('0');
        let zeros = whole.bytes().chain(rest.bytes()).take_while(|b| *b == b'0').count();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let clamped = |n: i64| u64::try_from(n).unwrap_or(0);
        Some(Digits {
            before: clamped(count(whole.len()).saturating_sub(count(zeros)).saturating_add(exponent)),
            behind: clamped(count(rest.len()).saturating_sub(exponent)),
        })
    }
}

/// The text and the SQL type of a failed cast.
fn cast_failed(message: &str) -> Option<(String, &'static str)> {
    let (text, ty) = message.split_once("Cannot cast string '")?.1.rsplit_once("' to value of ")?;
    let ty = match ty.split_whitespace().next()? {
        "Date32" => "DATE",
        "Int8" | "Int16" | "Int32" => "INT",
        "Int64" => "BIGINT",
        "Boolean" => "BOOLEAN",
        ty if ty.starts_with("Decimal") => "DECIMAL",
        ty if ty.starts_with("Float") => "DOUBLE",
        ty if ty.starts_with("Timestamp") => "TIMESTAMP",
        _ => "the other side",
    };
    Some((text.to_owned(), ty))
}

fn example(ty: &str) -> &'static str {
    match ty {
        "DATE" => "write a day of the calendar, as in DATE '2024-01-31'",
        "TIMESTAMP" => "write a moment, as in TIMESTAMP '2024-01-31T12:00:00'",
        "BOOLEAN" => "write TRUE or FALSE",
        _ => "write a number",
    }
}

/// The function that has no signature for its arguments, and their types.
fn no_signature(message: &str) -> Option<(String, String)> {
    let function = message.split_once("Function '")?.1.split_once('\'')?.0;
    if !message.contains("failed to match any signature") {
        return None;
    }
    let received = message.split_once("but received ")?.1;
    let ty = received.split([' ', '(', ',', '.']).next()?;
    Some((function.to_owned(), ty.to_uppercase()))
}

fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Collection(all) => all.first().map_or(error, root),
        DataFusionError::Shared(inner) => root(inner),
        other => other,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_numbers() {
        let digits = |number| Digits::of(number).map(|d| (d.before, d.behind));
        assert_eq!(
            ["1", "007", "12.50", "-0.05", "1e300", "1.5E2", "1.5e-3", "2e-300"].map(digits),
            [Some((1, 0)), Some((1, 0)), Some((2, 1)), Some((0, 2)), Some((301, 0)), Some((3, 0)), Some((0, 4)), Some((0, 300)),]
        );
        assert_eq!(["", ".", "e5", "1e", "Ada", "2024-01-31", "1e99999999999999999999"].map(digits), [None; 7]);
        assert_eq!(digits("1e9223372036854775807"), Some((9_223_372_036_854_775_807, 0)));
    }
}
