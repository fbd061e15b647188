//! Observability of loops: spans and events through `tracing`, metrics through `metrics`.
//!
//! For builds without one of these features, there is a stand-in that holds nothing and does
//! nothing.

#[cfg(feature = "metrics")]
mod channel_meter;
#[cfg(not(feature = "metrics"))]
#[path = "no_channel_meter.rs"]
mod channel_meter;
mod meter;
#[cfg(feature = "metrics")]
mod names;
mod outcome;
#[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
mod socket_meter;
pub(crate) mod trace;

use crate::record::{Stage, Stall};

#[cfg(feature = "metrics")]
pub use self::channel_meter::refresh_metrics;
#[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
pub(crate) use self::socket_meter::SocketMeter;
pub(crate) use self::{
    channel_meter::ChannelMeter, meter::Meter, outcome::CallOutcome, trace::Span,
};

/// Reports a stall to `tracing`, and its first report to `metrics`.
pub(crate) fn stall(stall: &Stall) {
    trace::stall(stall);
    if stall.stage == Stage::Noticed {
        meter::stall(stall);
    }
}
