//! A key: what may be one is decided here, for the path of a request and for a line of an import alike.

use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use serde::Deserialize;

/// In bytes.
pub(crate) const MAX_KEY: usize = 1024;

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Hash)]
#[serde(try_from = "String")]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.len() {
            0 => Err("the key is empty".to_owned()),
            1..=MAX_KEY => Ok(Self(text)),
            length => Err(format!("the key has {length} bytes, more than {MAX_KEY}")),
        }
    }
}

/// What is in the database was a key before.
impl FromSql for Key {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(Self)
    }
}
