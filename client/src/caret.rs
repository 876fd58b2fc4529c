//! Where in a question a compiler's error is.

use query::compile::SqlError;

/// A compiler's error with the line it is about, and a caret under the place.
pub(crate) fn point_at(sql: &str, error: &SqlError) -> String {
    let mut text = match (error.line, error.column) {
        (Some(line), Some(column)) => {
            let nth = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
            let (shown, at) = around(sql.lines().nth(nth).unwrap_or_default(), usize::try_from(column).unwrap_or(1).saturating_sub(1));
            // tabs stay tabs, so that the caret stands where the terminal puts the letter
            let blanks: String = shown.chars().take(at).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            format!("{} at line {line}, column {column}: {}\n  {shown}\n  {blanks}^", error.code, error.message)
        }
        _ => format!("{}: {}", error.code, error.message),
    };
    if !error.fix.is_empty() {
        text += &format!("\n  to mend it: {}", error.fix);
    }
    text
}

/// What is shown of a line, and where in it the place is: all of it, or what is around the place.
fn around(line: &str, at: usize) -> (String, usize) {
    let letters: Vec<char> = line.chars().collect();
    if letters.len() <= SHOWN {
        return (line.to_owned(), at);
    }
    let from = at.saturating_sub(SHOWN / 2).min(letters.len() - SHOWN);
    let middle: String = letters[from..from + SHOWN].iter().collect();
    let (before, after) = (if from > 0 { "…" } else { "" }, if from + SHOWN < letters.len() { "…" } else { "" });
    (format!("{before}{middle}{after}"), at - from + before.chars().count())
}

/// Letters of a line that are shown.
const SHOWN: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        assert_eq!(around("SELECT x", 7), ("SELECT x".into(), 7));
        let line: String = (0..300).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
        for at in [0, 59, 61, 150, 239, 241, 299] {
            let (shown, place) = around(&line, at);
            let letters: Vec<char> = shown.chars().collect();
            assert_eq!(letters[place], line.as_bytes()[at] as char, "{at}: {shown}");
            assert_eq!((letters[0] == '…', letters[letters.len() - 1] == '…'), (at > 60, at < 240), "{at}: {shown}");
            assert!(letters.len() <= SHOWN + 2);
        }
        // beyond the end of the line, where a statement stops short
        let (shown, place) = around(&line, 300);
        assert_eq!(place, shown.chars().count());
    }
}
