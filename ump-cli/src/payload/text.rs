//! Texts of others, printed without harm to a terminal.

use std::fmt::Write;

/// Returns the text in one line: control characters and invisible ones are escaped.
pub(crate) fn one_line(text: &str) -> String {
    escape(text, |_| false)
}

/// Returns the text with its line ends and tabs; other control characters are escaped.
pub(crate) fn printable(text: &str) -> String {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if keep(c) || !is_hidden(c) {
            escaped.push(c);
        } else {
            // A `String` takes everything.
            let _ = write!(escaped, "{}", c.escape_default());
        }
    }
    escaped
}

/// Control characters, and those that are invisible or turn the direction of the text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            one_line("a\nb\u{1b}[31m\u{202e}"),
            "a\\nb\\u{1b}[31m\\u{202e}"
        );
        assert_eq!(printable("a\nb\u{1b}"), "a\nb\\u{1b}");
        assert_eq!(one_line("grüße"), "grüße");
    }
}
