//! Nonces: the server makes them of the time and the client's address, and so remembers none.

use std::{
    fmt::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How nonces begin. It says that the server has sent `PASSWORD-ALGORITHMS`, so that nobody in
/// between can remove them.
const COOKIE: &str = "obMatJos2gAAA";

/// The bytes of a nonce's hash that are sent: few, as the answer to a request without credentials
/// should not be much longer than the request.
const HASH: usize = 8;

/// Makes and checks nonces.
pub(super) struct Nonces {
    secret: [u8; 32],
    start: Instant,
    lifetime: Duration,
}

impl Nonces {
    pub(super) fn new(secret: [u8; 32], start: Instant, lifetime: Duration) -> Self {
        Self {
            secret,
            start,
            lifetime,
        }
    }

    /// Returns a new nonce for a client.
    pub(super) fn make(&self, now: Instant, client: SocketAddr) -> String {
        self.of(self.seconds(now), client)
    }

    /// Returns whether a nonce is one for this client, and not too old.
    pub(super) fn is_fresh(&self, now: Instant, client: SocketAddr, nonce: &[u8]) -> bool {
        let seconds = std::str::from_utf8(nonce)
            .ok()
            .and_then(|nonce| nonce.strip_prefix(COOKIE)?.get(..8))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(seconds) = seconds else {
            return false;
        };
        let age = self.seconds(now).checked_sub(seconds);
        age.is_some_and(|age| Duration::from_secs(age.into()) < self.lifetime)
            && nonce == self.of(seconds, client).as_bytes()
    }

    /// Returns the age of the server: at most 136 years.
    fn seconds(&self, now: Instant) -> u32 {
        let seconds = now.saturating_duration_since(self.start).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    fn of(&self, seconds: u32, client: SocketAddr) -> String {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.secret);
        let mut mac = mac.expect("a key may have any length");
        mac.update(&seconds.to_be_bytes());
        mac.update(client.to_string().as_bytes());
        let mut nonce = format!("{COOKIE}{seconds:08x}");
        for byte in &mac.finalize().into_bytes()[..HASH] {
            let _ = write!(nonce, "{byte:02x}");
        }
        nonce
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces(..)")
    }
}
