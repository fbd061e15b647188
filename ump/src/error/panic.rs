//! The message of a handler's panic.

#![forbid(unsafe_code)]

use std::{any::Any, fmt};

use crate::sync::WakerArc;

/// The message of a handler's panic, if it is known.
///
/// The message is known if the code that caught the panic ended the request by
/// [`ReplyContext::panicked`](crate::ReplyContext::panicked). It is not known if the reply context
/// was dropped while its thread was unwinding. The type is as large as a pointer; clones share the
/// text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct PanicMessage(
    /// The pointer is never null, so that it does not make outcomes larger.
    WakerArc<Option<String>>,
);

impl PanicMessage {
    /// Returns the message of a payload that `catch_unwind` or `JoinHandle::join` returned: the
    /// text that was given to `panic!`. If the payload is no text (see `panic_any`), the message is
    /// not known.
    ///
    /// ```
    /// let payload = std::panic::catch_unwind(|| { let n = 7; panic!("no {n}") }).unwrap_err();
    /// let message = ump::PanicMessage::of_payload(&*payload);
    /// assert_eq!(message.as_str(), Some("no 7"));
    /// ```
    #[must_use]
    pub fn of_payload(payload: &(dyn Any + Send)) -> Self {
        if let Some(text) = payload.downcast_ref::<String>() {
            Self::from(text.as_str())
        } else if let Some(text) = payload.downcast_ref::<&'static str>() {
            Self::from(*text)
        } else {
            Self::default()
        }
    }

    /// Returns the text, if it is known.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl From<String> for PanicMessage {
    fn from(text: String) -> Self {
        Self(WakerArc::new(Some(text)))
    }
}

impl From<&str> for PanicMessage {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// Writes `the handler panicked`, and the message if it is known.
impl fmt::Display for PanicMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handler panicked")?;
        match self.as_str() {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}
