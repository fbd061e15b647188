//! The users, their keys, and the user of a request.

use std::{collections::HashMap, sync::Arc};

use crate::stun::{Integrity, Key, Message, PasswordAlgorithm, Writer, attribute::Attribute};

/// The value of `PASSWORD-ALGORITHMS`: SHA-256, then MD5.
pub(super) const PASSWORD_ALGORITHMS: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

/// The users of a realm.
pub(crate) struct Credentials {
    realm: String,
    users: HashMap<Arc<str>, Keys>,
}

struct Keys {
    md5: Key,
    sha256: Key,
}

/// The user of a request, and the key that signs its response.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) user: Arc<str>,
    integrity: Integrity,
    key: Key,
}

impl Identity {
    pub(super) fn sign(&self, response: Writer) -> Writer {
        response.integrity(self.integrity, &self.key)
    }
}

/// Why a request is not from anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unidentified {
    /// It has no integrity, or a wrong one, or its user does not exist.
    Unauthorized,
    /// Something is missing.
    BadRequest,
}

impl Credentials {
    /// Creates the table of users from pairs of a name and a password. The keys are kept, the
    /// passwords are not.
    pub(crate) fn new<'a>(
        realm: &str,
        users: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let keys = |name: &str, password| {
            let key = |algorithm| Key::long_term(algorithm, name, realm, password);
            Keys {
                md5: key(PasswordAlgorithm::Md5),
                sha256: key(PasswordAlgorithm::Sha256),
            }
        };
        let users = users.into_iter();
        Self {
            realm: realm.to_owned(),
            users: users
                .map(|(name, password)| (name.into(), keys(name, password)))
                .collect(),
        }
    }

    pub(super) fn realm(&self) -> &str {
        &self.realm
    }

    /// Finds out who a request is from. The nonce is not checked yet.
    pub(super) fn identify(&self, request: &Message<'_>) -> Result<Identity, Unidentified> {
        let integrity = request.integrity().ok_or(Unidentified::Unauthorized)?;
        let text = |kind| {
            let value = request.get(kind).ok_or(Unidentified::BadRequest)?;
            std::str::from_utf8(value).map_err(|_| Unidentified::BadRequest)
        };
        let (name, realm) = (text(Attribute::USERNAME)?, text(Attribute::REALM)?);
        if request.get(Attribute::NONCE).is_none() {
            return Err(Unidentified::BadRequest);
        }
        let algorithm = algorithm(request).ok_or(Unidentified::BadRequest)?;
        let (user, keys) = self
            .users
            .get_key_value(name)
            .filter(|_| realm == self.realm)
            .ok_or(Unidentified::Unauthorized)?;
        let key = match algorithm {
            PasswordAlgorithm::Md5 => &keys.md5,
            PasswordAlgorithm::Sha256 => &keys.sha256,
        };
        if !request.verify(integrity, key) {
            return Err(Unidentified::Unauthorized);
        }
        Ok(Identity {
            user: Arc::clone(user),
            integrity,
            key: key.clone(),
        })
    }
}

/// Returns the algorithm that the client has chosen from those that the server offers. A client of
/// RFC 5389 does not choose, and uses MD5. `None` if somebody has changed the offer.
fn algorithm(request: &Message<'_>) -> Option<PasswordAlgorithm> {
    let offer = request.get(Attribute::PASSWORD_ALGORITHMS);
    let choice = request.get(Attribute::PASSWORD_ALGORITHM);
    match (offer, choice) {
        (None, None) => Some(PasswordAlgorithm::Md5),
        (Some(offer), Some(choice)) if offer == PASSWORD_ALGORITHMS => match choice {
            [0, 2, 0, 0] => Some(PasswordAlgorithm::Sha256),
            [0, 1, 0, 0] => Some(PasswordAlgorithm::Md5),
            _ => None,
        },
        _ => None,
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("users", &self.users.len())
            .finish()
    }
}
