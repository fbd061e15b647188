//! NOTIFICATION: the reason why one side ends a session (RFC 4271, 4.5 and 6).

use std::fmt;

/// The code and the subcode of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) u8, pub(crate) u8);

impl Code {
    pub(crate) const NOT_SYNCHRONIZED: Self = Self(1, 1);
    pub(crate) const BAD_LENGTH: Self = Self(1, 2);
    pub(crate) const BAD_TYPE: Self = Self(1, 3);

    pub(crate) const MALFORMED_OPEN: Self = Self(2, 0);
    pub(crate) const UNSUPPORTED_VERSION: Self = Self(2, 1);
    pub(crate) const BAD_SYSTEM: Self = Self(2, 2);
    pub(crate) const BAD_IDENTIFIER: Self = Self(2, 3);
    pub(crate) const UNSUPPORTED_PARAMETER: Self = Self(2, 4);
    pub(crate) const UNACCEPTABLE_HOLD_TIME: Self = Self(2, 6);
    pub(crate) const UNSUPPORTED_CAPABILITY: Self = Self(2, 7);

    pub(crate) const MALFORMED_ATTRIBUTES: Self = Self(3, 1);
    pub(crate) const UNRECOGNIZED_WELL_KNOWN: Self = Self(3, 2);
    pub(crate) const MISSING_WELL_KNOWN: Self = Self(3, 3);
    pub(crate) const BAD_FLAGS: Self = Self(3, 4);
    pub(crate) const BAD_ATTRIBUTE_LENGTH: Self = Self(3, 5);
    pub(crate) const INVALID_ORIGIN: Self = Self(3, 6);
    pub(crate) const INVALID_NEXT_HOP: Self = Self(3, 8);
    pub(crate) const BAD_OPTIONAL_ATTRIBUTE: Self = Self(3, 9);
    pub(crate) const INVALID_NETWORK: Self = Self(3, 10);
    pub(crate) const MALFORMED_PATH: Self = Self(3, 11);

    pub(crate) const HOLD_TIMER_EXPIRED: Self = Self(4, 0);

    // RFC 6608.
    pub(crate) const UNEXPECTED_IN_OPEN_SENT: Self = Self(5, 1);
    pub(crate) const UNEXPECTED_IN_OPEN_CONFIRM: Self = Self(5, 2);
    pub(crate) const UNEXPECTED_IN_ESTABLISHED: Self = Self(5, 3);

    // RFC 4486.
    pub(crate) const MAX_PREFIXES: Self = Self(6, 1);
    pub(crate) const SHUTDOWN: Self = Self(6, 2);
    pub(crate) const RESET: Self = Self(6, 4);
    pub(crate) const CONNECTION_REJECTED: Self = Self(6, 5);
    pub(crate) const COLLISION: Self = Self(6, 7);

    // RFC 7313.
    pub(crate) const BAD_REFRESH_LENGTH: Self = Self(7, 1);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Self::NOT_SYNCHRONIZED => "connection not synchronized",
            Self::BAD_LENGTH => "bad message length",
            Self::BAD_TYPE => "bad message type",
            Self::MALFORMED_OPEN => "malformed OPEN",
            Self::UNSUPPORTED_VERSION => "unsupported version",
            Self::BAD_SYSTEM => "bad peer AS",
            Self::BAD_IDENTIFIER => "bad BGP identifier",
            Self::UNSUPPORTED_PARAMETER => "unsupported optional parameter",
            Self::UNACCEPTABLE_HOLD_TIME => "unacceptable hold time",
            Self::UNSUPPORTED_CAPABILITY => "unsupported capability",
            Self::MALFORMED_ATTRIBUTES => "malformed attribute list",
            Self::UNRECOGNIZED_WELL_KNOWN => "unrecognized well-known attribute",
            Self::MISSING_WELL_KNOWN => "missing well-known attribute",
            Self::BAD_FLAGS => "attribute flags error",
            Self::BAD_ATTRIBUTE_LENGTH => "attribute length error",
            Self::INVALID_ORIGIN => "invalid origin",
            Self::INVALID_NEXT_HOP => "invalid next hop",
            Self::BAD_OPTIONAL_ATTRIBUTE => "optional attribute error",
            Self::INVALID_NETWORK => "invalid network field",
            Self::MALFORMED_PATH => "malformed AS path",
            Self::HOLD_TIMER_EXPIRED => "hold timer expired",
            Self::UNEXPECTED_IN_OPEN_SENT => "unexpected message in OpenSent",
            Self::UNEXPECTED_IN_OPEN_CONFIRM => "unexpected message in OpenConfirm",
            Self::UNEXPECTED_IN_ESTABLISHED => "unexpected message in Established",
            Self::MAX_PREFIXES => "maximum number of prefixes reached",
            Self::SHUTDOWN => "administrative shutdown",
            Self(6, 3) => "peer de-configured",
            Self::RESET => "administrative reset",
            Self::CONNECTION_REJECTED => "connection rejected",
            Self(6, 6) => "other configuration change",
            Self::COLLISION => "connection collision resolution",
            Self(6, 8) => "out of resources",
            Self(6, 9) => "hard reset",
            Self::BAD_REFRESH_LENGTH => "invalid ROUTE-REFRESH length",
            Self(1, _) => "message header error",
            Self(2, _) => "OPEN error",
            Self(3, _) => "UPDATE error",
            Self(5, _) => "state machine error",
            Self(6, _) => "cease",
            _ => "unknown error",
        };
        write!(f, "{text} ({}/{})", self.0, self.1)
    }
}

/// A notification: the last message of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    pub(crate) code: Code,
    /// Its data, whose meaning depends on the code.
    pub(crate) data: Vec<u8>,
}

impl Notification {
    pub(crate) fn new(code: Code) -> Self {
        let data = Vec::new();
        Self { code, data }
    }

    /// Sets the data, and cuts off what has no room in a message.
    pub(crate) fn data(self, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref();
        let room = super::MAX_MESSAGE - super::HEADER - 2;
        Self {
            data: data[..data.len().min(room)].to_vec(),
            ..self
        }
    }
}

impl From<Code> for Notification {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)
    }
}
