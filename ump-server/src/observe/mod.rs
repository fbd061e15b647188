//! What a loop tells to whoever observes the program: spans and events through `tracing`, numbers through `metrics`.
//!
//! Each of the two has a twin for builds without its feature, which holds nothing and does nothing.

#[cfg(feature = "metrics")]
mod channel_meter;
#[cfg(not(feature = "metrics"))]
#[path = "no_channel_meter.rs"]
mod channel_meter;
mod meter;
mod outcome;
pub(crate) mod trace;

use crate::watchdog::{Stage, Stall};

#[cfg(feature = "metrics")]
pub use self::channel_meter::refresh_metrics;
pub(crate) use self::{
    channel_meter::ChannelMeter, meter::Meter, outcome::CallOutcome, trace::Span,
};

/// A handler does not return control, or does again.
pub(crate) fn stall(stall: &Stall) {
    trace::stall(stall);
    if stall.stage == Stage::Noticed {
        meter::stall(stall);
    }
}
