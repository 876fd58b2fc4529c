//! Canonical JSON: RFC 8785 (JCS), narrowed to what has one meaning everywhere. Numbers are integers of at most 53
//! bits; fractions do not exist, so that nothing signed depends on how a machine prints them.

use serde::Serialize;
use serde_json::{Number, Value};

/// The largest magnitude of an integer: what every JSON reader represents exactly.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The canonical text of a value: no white space, keys sorted by UTF-16 code units, the shortest escapes.
///
/// # Errors
/// The value holds a fraction, an integer of more than 53 bits, or is nested too deeply.
pub fn to_canonical(value: &impl Serialize) -> Result<String, JsonError> {
    let value = serde_json::to_value(value).map_err(|_| JsonError::NotJson)?;
    let mut text = String::new();
    write_value(&value, 0, &mut text)?;
    Ok(text)
}

/// Reads canonical JSON, and nothing but canonical JSON: text that says the same in another way is refused.
///
/// # Errors
/// The text is not JSON, or not in its canonical form.
pub fn parse_canonical(text: &str) -> Result<Value, JsonError> {
    let value: Value = serde_json::from_str(text).map_err(|_| JsonError::NotJson)?;
    let mut canonical = String::with_capacity(text.len());
    write_value(&value, 0, &mut canonical)?;
    if canonical == text { Ok(value) } else { Err(JsonError::NotCanonical) }
}

/// Why a value has no canonical text, or a text is not one. Nothing here quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON at all.
    #[error("it is not JSON")]
    NotJson,
    /// JSON, spelled another way.
    #[error("it is not canonical JSON (sorted keys, no white space, shortest escapes, no key twice)")]
    NotCanonical,
    /// A number that is no integer of 53 bits.
    #[error("it holds a number that is not an integer of at most 53 bits")]
    Number,
    /// Too many brackets in each other.
    #[error("it is nested more than {MAX_DEPTH} deep")]
    Depth,
}

const MAX_DEPTH: usize = 32;

fn write_value(value: &Value, depth: usize, text: &mut String) -> Result<(), JsonError> {
    match value {
        Value::Array(_) | Value::Object(_) if depth == MAX_DEPTH => return Err(JsonError::Depth),
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_integer(number, text)?,
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_value(item, depth + 1, text)?;
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (at, (key, item)) in fields.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_string(key, text);
                text.push(':');
                write_value(item, depth + 1, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

fn write_integer(number: &Number, text: &mut String) -> Result<(), JsonError> {
    let integer = number.as_i64().filter(|i| i.unsigned_abs() <= MAX_INTEGER).ok_or(JsonError::Number)?;
    text.push_str(&integer.to_string());
    Ok(())
}

/// RFC 8785, section 3.2.2.2.
fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            c if c < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_sort_by_utf16_as_in_rfc_8785() {
        // Section 3.2.3 of the RFC.
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        let text = to_canonical(&value).expect("canonical");
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"].map(|word| text.find(word).expect("there"));
        assert!(order.is_sorted(), "{text}");
    }

    #[test]
    fn strings_use_the_shortest_escapes() {
        // Section 3.2.2.2 of the RFC.
        let text = to_canonical(&"\u{20ac}$\u{f}\nA'B\"\\\"/\u{7f}").expect("canonical");
        assert_eq!(text, "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\"/\u{7f}\"");
    }

    #[test]
    fn integers_only() {
        assert_eq!(to_canonical(&json!([0, -1, MAX_INTEGER])).expect("canonical"), "[0,-1,9007199254740991]");
        for value in [json!(1.5), json!(1.0), json!(MAX_INTEGER + 1), json!(u64::MAX), json!(-(MAX_INTEGER as i64) - 1)] {
            assert_eq!(to_canonical(&value), Err(JsonError::Number), "{value}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        assert!(parse_canonical("{\"a\":1,\"b\":[true,null,\"x\"]}").is_ok());
        let others = [
            "{\"b\":1,\"a\":1}",
            "{\"a\": 1}",
            " {}",
            "{}\n",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"a\":2}",
            "\"\\u0041\"",
            "\"\\/\"",
            "-0",
            "\"\\u000A\"",
            "01",
            "1e2",
            "1.0",
            "{}{}",
            "",
        ];
        for other in others {
            assert!(parse_canonical(other).is_err(), "{other}");
        }
        assert_eq!(parse_canonical(&format!("{}{}", "[".repeat(33), "]".repeat(33))), Err(JsonError::Depth));
        assert!(parse_canonical(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse_canonical(&text);
        }

        #[test]
        fn canonical_text_reads_back(keys in proptest::collection::btree_map(".*", any::<i32>(), 0..8), tail in ".*") {
            let value = json!({ "keys": keys, "tail": tail });
            let text = to_canonical(&value).expect("canonical");
            prop_assert!(!text.chars().any(|c| c < ' '), "notes allow no control characters");
            prop_assert_eq!(parse_canonical(&text), Ok(value));
        }
    }
}
