//! An error of the operating system that can be cloned and compared.

#![forbid(unsafe_code)]

use std::{
    error::Error as StdError,
    fmt,
    hash::{Hash, Hasher},
    io,
    ops::Deref,
};

// A `WakerArc` is as large as an `io::Error`.
use crate::sync::WakerArc;

/// An [`io::Error`] that can be cloned, compared and shared.
///
/// Clones share the error. It dereferences to the [`io::Error`], so `error.kind()` and the like
/// work as usual. Two errors are equal if they have the same kind, the same code of the operating
/// system and the same text.
///
/// ```
/// use std::io;
/// use ump::OsError;
///
/// let error = OsError::from(io::Error::from_raw_os_error(11));
/// assert_eq!(error, error.clone());
/// assert_eq!(error.raw_os_error(), Some(11));
/// assert_eq!(error.to_string(), io::Error::from_raw_os_error(11).to_string());
/// ```
#[derive(Clone)]
pub struct OsError(WakerArc<io::Error>);

impl OsError {
    /// Returns the [`io::Error`]. If clones share it, returns another one with the same code, or
    /// with the same kind and text.
    #[must_use]
    pub fn into_inner(self) -> io::Error {
        WakerArc::try_unwrap(self.0).unwrap_or_else(|shared| match shared.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(shared.kind(), shared.to_string()),
        })
    }
}

impl From<io::Error> for OsError {
    fn from(error: io::Error) -> Self {
        Self(WakerArc::new(error))
    }
}

impl From<OsError> for io::Error {
    fn from(error: OsError) -> Self {
        error.into_inner()
    }
}

impl Deref for OsError {
    type Target = io::Error;

    fn deref(&self) -> &io::Error {
        &self.0
    }
}

impl PartialEq for OsError {
    fn eq(&self, other: &Self) -> bool {
        WakerArc::ptr_eq(&self.0, &other.0)
            || (self.kind() == other.kind()
                && self.raw_os_error() == other.raw_os_error()
                // Errors with the same code have the same text.
                && (self.raw_os_error().is_some() || self.to_string() == other.to_string()))
    }
}

impl Eq for OsError {}

impl Hash for OsError {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind().hash(state);
        self.raw_os_error().hash(state);
    }
}

impl fmt::Debug for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text of this error is the text of the [`io::Error`]. So the source of this error is the
/// source of the [`io::Error`].
impl StdError for OsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// Serializes the error as `{"code": 11, "text": "…"}`. An error without a code is deserialized as
/// one of the kind [`Other`](io::ErrorKind::Other).
#[cfg(feature = "serde")]
mod serial {
    use std::io;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::OsError;

    #[derive(Deserialize, Serialize)]
    struct Plain {
        code: Option<i32>,
        text: String,
    }

    impl Serialize for OsError {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let (code, text) = (self.raw_os_error(), self.to_string());
            Plain { code, text }.serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for OsError {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let Plain { code, text } = Plain::deserialize(deserializer)?;
            let error = code.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error);
            Ok(Self::from(error))
        }
    }
}
