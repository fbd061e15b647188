//! Characters that are not written as they are.

/// Returns whether a character could begin a line, control a terminal, or hide text.
pub(super) fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Appends a text. Characters that must be escaped are written by `escape`: those that are
/// [unsafe](is_unsafe), quotes, and backslashes, and no others.
pub(super) fn push(
    text: &str,
    out: &mut Vec<u8>,
    must_escape: impl Fn(char) -> bool,
    mut escape: impl FnMut(char, &mut Vec<u8>),
) {
    // Most texts. (Whether a text is ASCII is known much faster than each character.)
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if text.bytes().all(is_plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    let mut rest = text;
    while let Some(at) = rest.find(&must_escape) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let mut letters = rest[at..].chars();
        if let Some(letter) = letters.next() {
            escape(letter, out);
        }
        rest = letters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}
