//! Times to live and expiry times.
//!
//! An expiry time is wall-clock time, as it has to survive the process. If that clock is set, times
//! to live become longer or shorter.

use std::{
    num::IntErrorKind,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::types::{ToSql, ToSqlOutput};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest time to live, in seconds: ten years.
pub(crate) const MAX_TTL: u32 = 10 * 365 * 24 * 60 * 60;

/// A time to live in milliseconds, up to [`MAX_TTL`]. As text, and in JSON, it is in whole seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Ttl(i64);

impl Ttl {
    pub(crate) fn from_milliseconds(milliseconds: u64) -> Result<Self, TtlError> {
        match i64::try_from(milliseconds) {
            Ok(milliseconds) if (1..=i64::from(MAX_TTL) * 1000).contains(&milliseconds) => {
                Ok(Self(milliseconds))
            }
            _ => Err(TtlError::OutOfRange),
        }
    }
}

/// Why a text is not a time to live.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum TtlError {
    #[error("ttl must be a whole number of seconds")]
    NotANumber,
    #[error("ttl must be from 1 to {MAX_TTL} seconds")]
    OutOfRange,
}

impl TryFrom<u64> for Ttl {
    type Error = TtlError;

    fn try_from(seconds: u64) -> Result<Self, TtlError> {
        let milliseconds = seconds.checked_mul(1000).ok_or(TtlError::OutOfRange)?;
        Self::from_milliseconds(milliseconds)
    }
}

impl FromStr for Ttl {
    type Err = TtlError;

    fn from_str(text: &str) -> Result<Self, TtlError> {
        let seconds: i128 =
            text.parse()
                .map_err(|error: std::num::ParseIntError| match error.kind() {
                    IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => TtlError::OutOfRange,
                    _ => TtlError::NotANumber,
                })?;
        u64::try_from(seconds)
            .map_err(|_| TtlError::OutOfRange)?
            .try_into()
    }
}

/// A wall-clock time in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct WallTime(i64);

impl WallTime {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let milliseconds = since.unwrap_or_default().as_millis();
        Self(i64::try_from(milliseconds).unwrap_or(i64::MAX))
    }

    pub(crate) fn after(self, Ttl(milliseconds): Ttl) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    pub(crate) fn milliseconds(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// Returns the time from now until `then`, or zero if it has passed.
    pub(crate) fn until(self, then: Self) -> Duration {
        let milliseconds = then.0.saturating_sub(self.0);
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
    }
}

impl From<i64> for WallTime {
    fn from(milliseconds: i64) -> Self {
        Self(milliseconds)
    }
}

impl ToSql for WallTime {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}
