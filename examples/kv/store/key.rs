//! Keys, validated the same way in the path of a request and in a line of an import.

use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use serde::Deserialize;

/// The longest key, in bytes.
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

/// A key in the database was validated when it was written.
impl FromSql for Key {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(Self)
    }
}
