//! The stand-in for a channel's meter without the feature `metrics`.

use std::sync::Arc;

use ump::Server;

use crate::{record::WorkerRecord, sync};

#[derive(Clone)]
pub(crate) struct ChannelMeter;

impl ChannelMeter {
    pub(crate) fn new<S, R, E>(
        _: &Arc<str>,
        _: &Arc<Server<S, R, E>>,
        _: &[sync::Arc<WorkerRecord>],
    ) -> Self {
        Self
    }
}
