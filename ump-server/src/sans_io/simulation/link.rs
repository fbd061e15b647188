//! The properties of the simulated network.

use std::time::Duration;

/// The properties of a link of a [`Simulation`](super::Simulation), the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Link {
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) loss: u32,
    pub(super) duplication: u32,
    pub(super) reordering: u32,
}

impl Link {
    /// Creates a link that delivers each packet after a millisecond.
    pub const fn new() -> Self {
        Self {
            latency: Duration::from_millis(1),
            jitter: Duration::ZERO,
            loss: 0,
            duplication: 0,
            reordering: 0,
        }
    }

    /// Sets the time that a packet takes at least.
    pub const fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// Sets the longest random time that is added to the latency of each packet. If it is longer
    /// than the time between two packets, they may arrive in another order.
    pub const fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Sets the probability with which a packet is lost, from 0 to 1.
    pub fn loss(self, probability: f64) -> Self {
        Self {
            loss: millionths(probability),
            ..self
        }
    }

    /// Sets the probability with which a packet arrives twice, from 0 to 1.
    pub fn duplication(self, probability: f64) -> Self {
        Self {
            duplication: millionths(probability),
            ..self
        }
    }

    /// Sets the probability with which a packet takes up to ten times as long, from 0 to 1, so that
    /// later ones overtake it.
    pub fn reordering(self, probability: f64) -> Self {
        Self {
            reordering: millionths(probability),
            ..self
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is clamped"
)]
fn millionths(probability: f64) -> u32 {
    (probability.clamp(0.0, 1.0) * 1e6).round() as u32
}
