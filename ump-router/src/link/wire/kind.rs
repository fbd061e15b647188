//! The kinds of frames.

/// The kind of a frame: the fifth byte of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// All kinds that this version knows.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the name of a known kind.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// The first frame in either direction.
    HELLO = 0x01;
    /// The last frame in either direction.
    GOODBYE = 0x02;
    /// Asks for a pong.
    PING = 0x03;
    /// The answer to a ping.
    PONG = 0x04;
    /// Defines the number of a topic.
    TOPIC = 0x05;
    /// Subscribes.
    SUBSCRIBE = 0x06;
    /// The answer to a subscribe.
    SUBSCRIBED = 0x07;
    /// Ends a subscription.
    UNSUBSCRIBE = 0x08;
    /// Raises the credit of a subscription.
    CREDIT = 0x09;
    /// Raises the credit of the link.
    WINDOW = 0x0a;
    /// Reports messages that a subscription missed.
    GAP = 0x0b;
    /// Claims a topic.
    SERVE = 0x0c;
    /// The answer to a serve, and what becomes of it later.
    SERVED = 0x0d;
    /// Gives up a claim.
    LEAVE = 0x0e;
    /// A handler has a request.
    TAKEN = 0x0f;
    /// The caller of a request waits no longer.
    CANCEL = 0x10;
    /// A request ended without a reply.
    OUTCOME = 0x11;
    /// Removes the retained message of a topic.
    UNRETAIN = 0x12;
    /// The sender has told all that it had when the link opened.
    SYNCED = 0x13;
    /// A publication was not delivered.
    REFUSED = 0x14;
    /// A publication.
    PUBLISH = 0x41;
    /// A request.
    REQUEST = 0x42;
    /// The reply to a request.
    REPLY = 0x43;
    /// A change of the retained message of a topic.
    REPLICATE = 0x44;
}

impl Kind {
    const BULK: u8 = 0x40;
    const CRITICAL: u8 = 0x80;

    /// Returns whether frames of this kind carry a payload and use the credit of the link. Known
    /// for unknown kinds, too.
    #[must_use]
    pub fn is_bulk(self) -> bool {
        self.0 & Self::BULK != 0
    }

    /// Returns whether a receiver that does not know the kind must end the session. It ignores
    /// frames of other unknown kinds.
    #[must_use]
    pub fn is_critical(self) -> bool {
        self.0 & Self::CRITICAL != 0
    }
}
