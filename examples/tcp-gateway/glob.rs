//! The patterns of `SCAN … MATCH`: `*`, `?`, `[a-z]`, `[^a-z]` and `\`.

/// A pattern. The store reads only the keys that begin with its literal prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    pattern: String,
    prefix: String,
}

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;

impl Glob {
    /// Matches each key.
    pub(crate) fn all() -> Self {
        Self {
            pattern: "*".to_owned(),
            prefix: String::new(),
        }
    }

    pub(crate) fn new(pattern: &[u8]) -> Result<Self, &'static str> {
        let pattern = std::str::from_utf8(pattern).map_err(|_| "the pattern is not UTF-8")?;
        if pattern.len() > MAX_PATTERN {
            return Err("the pattern is too long");
        }
        let end = pattern.find(['*', '?', '[', '\\']).unwrap_or(pattern.len());
        Ok(Self {
            pattern: pattern.to_owned(),
            prefix: pattern[..end].to_owned(),
        })
    }

    /// Returns the text with which all matching keys begin.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns whether a key matches, in time of the product of both lengths at most.
    pub(crate) fn matches(&self, key: &str) -> bool {
        let (mut pattern, mut text) = (self.pattern.as_str(), key);
        // Where to go on if what follows the last star does not match.
        let mut retry: Option<(&str, &str)> = None;
        loop {
            if let Some(rest) = pattern.strip_prefix('*') {
                pattern = rest;
                retry = Some((rest, text));
                continue;
            }
            let mut rest = text.chars();
            match (rest.next(), pattern.is_empty()) {
                (None, is_end) => return is_end,
                (Some(character), false) => {
                    if let Some(after) = one(pattern, character) {
                        (pattern, text) = (after, rest.as_str());
                        continue;
                    }
                }
                (Some(_), true) => {}
            }
            let Some((after_star, from)) = retry else {
                return false;
            };
            let mut from = from.chars();
            from.next();
            (pattern, text) = (after_star, from.as_str());
            retry = Some((after_star, text));
        }
    }
}

/// Matches one character with the begin of the pattern, which is not a star. Returns the rest of
/// the pattern.
fn one(pattern: &str, character: char) -> Option<&str> {
    let mut rest = pattern.chars();
    let matches = match rest.next()? {
        '?' => true,
        '\\' => rest.next().unwrap_or('\\') == character,
        '[' => {
            let negated = rest.as_str().starts_with('^');
            if negated {
                rest.next();
            }
            let mut found = false;
            // A class without an end reaches to the end of the pattern.
            while let Some(first) = rest.next().filter(|&c| c != ']') {
                let first = if first == '\\' {
                    rest.next().unwrap_or(first)
                } else {
                    first
                };
                let mut ahead = rest.clone();
                let last = match (ahead.next(), ahead.next()) {
                    (Some('-'), Some(last)) if last != ']' => {
                        rest = ahead;
                        last
                    }
                    _ => first,
                };
                found |= (first.min(last)..=first.max(last)).contains(&character);
            }
            found != negated
        }
        literal => literal == character,
    };
    matches.then_some(rest.as_str())
}
