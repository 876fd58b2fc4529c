//! HTML that is well-formed, also as XML, and in which what comes from the log is text and nothing else.

/// Elements, written from the outside in. Names of elements and attributes are the program's own; text and values may be anybody's.
pub(super) struct Html {
    out: String,
    open: Vec<&'static str>,
}

impl Html {
    /// An empty fragment.
    pub fn new() -> Self {
        Self { out: String::new(), open: Vec::new() }
    }

    /// Opens an element; [`Html::end`] closes it.
    pub fn begin(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) -> &mut Self {
        self.tag(name, attributes, ">");
        self.open.push(name);
        self
    }

    /// Closes the last element that was opened.
    pub fn end(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            self.out += &format!("</{name}>\n");
        }
        self
    }

    /// An element without content.
    pub fn void(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) -> &mut Self {
        self.tag(name, attributes, "/>");
        self
    }

    /// An element with text in it.
    pub fn leaf(&mut self, name: &'static str, attributes: &[(&'static str, &str)], text: &str) -> &mut Self {
        self.tag(name, attributes, ">");
        self.out += &escaped(text);
        self.out += &format!("</{name}>\n");
        self
    }

    /// The program's own text, as it stands.
    pub fn literal(&mut self, text: &'static str) -> &mut Self {
        self.out += text;
        self
    }

    /// Another fragment, which is whole.
    pub fn put(&mut self, fragment: Html) -> &mut Self {
        self.out += &fragment.finish();
        self
    }

    /// A table: each column with its name and its class, if it has one: `number`, `whole` (never broken) or `hash`.
    pub fn table(&mut self, head: &[(&str, &'static str)], rows: impl IntoIterator<Item = Vec<String>>) -> &mut Self {
        let class = |class: &'static str| if class.is_empty() { Vec::new() } else { vec![("class", class)] };
        self.begin("table", &[]).begin("thead", &[]).begin("tr", &[]);
        for (name, kind) in head {
            self.leaf("th", &[&[("scope", "col")][..], &class(kind)].concat(), name);
        }
        self.end().end().begin("tbody", &[]);
        for row in rows {
            self.begin("tr", &[]);
            for ((_, kind), cell) in head.iter().zip(&row) {
                self.leaf("td", &class(kind), cell);
            }
            self.end();
        }
        self.end().end()
    }

    /// What is to be said of one thing, each with a word for what it is; on paper it stays together.
    pub fn facts(&mut self, rows: impl IntoIterator<Item = (&'static str, String)>) -> &mut Self {
        self.begin("table", &[("class", "facts")]).begin("tbody", &[]);
        for (word, what) in rows {
            self.begin("tr", &[]).leaf("th", &[("scope", "row")], word).leaf("td", &[], &what).end();
        }
        self.end().end()
    }

    /// What was written; what is still open is closed.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.out
    }

    fn tag(&mut self, name: &str, attributes: &[(&'static str, &str)], close: &str) {
        self.out += &format!("<{name}");
        for (name, value) in attributes {
            self.out += &format!(" {name}=\"{}\"", escaped(value));
        }
        self.out += close;
    }
}

/// Text as it stands between tags and in quotes. What XML has no letter for, and what turns the direction of the letters that follow
/// (it could make a page show another text than it has), is a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(letter),
            '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let mut html = Html::new();
        html.begin("p", &[("title", "\" onclick=\"x")]).leaf("b", &[], "<script>&'\u{0}\u{202e}").void("br", &[]);
        let expected = "<p title=\"&quot; onclick=&quot;x\"><b>&lt;script&gt;&amp;&#39;\u{fffd}\u{fffd}</b>\n<br/></p>\n";
        assert_eq!(html.finish(), expected);
    }

    #[test]
    fn a_fragment_closes_what_it_opened() {
        let (mut outer, mut inner) = (Html::new(), Html::new());
        inner.begin("g", &[]).begin("g", &[]);
        outer.begin("svg", &[]).put(inner).leaf("text", &[], "a");
        assert_eq!(outer.finish(), "<svg><g><g></g>\n</g>\n<text>a</text>\n</svg>\n");
    }
}
