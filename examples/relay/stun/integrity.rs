//! The keys of long-term credentials, and the integrity of messages.

use std::fmt;

use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::{HEADER, attribute::Attribute};

/// How a key is made of a user's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PasswordAlgorithm {
    Md5,
    Sha256,
}

/// The key of a user: a hash of name, realm and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// Makes the key of a user.
    pub(crate) fn long_term(
        algorithm: PasswordAlgorithm,
        user: &str,
        realm: &str,
        password: &str,
    ) -> Self {
        let text = format!("{user}:{realm}:{password}");
        Self(match algorithm {
            PasswordAlgorithm::Md5 => Md5::digest(text).to_vec(),
            PasswordAlgorithm::Sha256 => Sha256::digest(text).to_vec(),
        })
    }

    /// Makes the key of short-term credentials, which is the password.
    #[allow(dead_code, reason = "the test vectors of RFC 5769 have such keys")]
    pub(crate) fn short_term(password: &str) -> Self {
        Self(password.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The kinds of integrity that a message can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Integrity {
    Sha1,
    Sha256,
}

impl Integrity {
    pub(super) fn attribute(self) -> Attribute {
        match self {
            Self::Sha1 => Attribute::MESSAGE_INTEGRITY,
            Self::Sha256 => Attribute::MESSAGE_INTEGRITY_SHA256,
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Returns the value of the attribute that follows these bytes.
    pub(super) fn sign(self, key: &Key, before: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => mac::<Hmac<Sha1>>(key, before, self.length())
                .finalize()
                .into_bytes()
                .to_vec(),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, before, self.length())
                .finalize()
                .into_bytes()
                .to_vec(),
        }
    }

    /// Compares the value of the attribute that follows these bytes, in constant time.
    pub(super) fn verify(self, key: &Key, before: &[u8], value: &[u8]) -> bool {
        let verified = match self {
            Self::Sha1 => mac::<Hmac<Sha1>>(key, before, value.len()).verify_slice(value),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, before, value.len()).verify_slice(value),
        };
        value.len() == self.length() && verified.is_ok()
    }
}

/// Hashes the bytes as if the message ended with an attribute of this length: so is the length in
/// the header, whatever else follows.
fn mac<M: Mac + hmac::digest::KeyInit>(key: &Key, before: &[u8], length: usize) -> M {
    let mut mac = <M as Mac>::new_from_slice(&key.0).expect("a key may have any length");
    let length = before.len() - HEADER + 4 + length;
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    mac.update(&before[..2]);
    mac.update(&length.to_be_bytes());
    mac.update(&before[4..]);
    mac
}
