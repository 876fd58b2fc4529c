//! Where in the text a construct is. The logical plan keeps positions of columns only; everything else is found again among the tokens.

use datafusion::{
    common::{
        DataFusionError, SchemaError,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::Expr,
    sql::sqlparser::{
        dialect::GenericDialect,
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

    fn tables<'a>(&'a self, schema: &'a str, name: &'a str) -> impl Iterator<Item = &'a (Token, Place, usize)> {
        let word = |t: &(Token, Place, usize), w: &str| matches!(&t.0, Token::Word(x) if x.value.eq_ignore_ascii_case(w));
        self.tokens.windows(3).filter(move |t| word(&t[0], schema) && t[1].0 == Token::Period && word(&t[2], name)).map(|t| &t[0])
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

    /// DataFusion's error in our words, with the place it names or that of the name it complains of.
    pub(super) fn explain(&self, error: &DataFusionError) -> SqlError {
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
