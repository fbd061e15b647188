//! How the components of a system are, as plain data.

use std::{sync::atomic::Ordering, time::Duration};

use ump::Stats;

use crate::WorkerStatus;
use crate::system::run::component::{Component, Inner, Instance};

/// How a component is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ComponentStatus {
    /// Its name.
    pub name: String,
    /// What it needs.
    pub needs: Vec<String>,
    /// The group that it is in.
    pub group: Option<String>,
    /// Its instances, by their numbers; none if it has not been launched yet.
    pub instances: Vec<InstanceStatus>,
}

/// How an instance of a component is. It is read piece by piece while things go on, so one piece
/// may be a little older than the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InstanceStatus {
    /// In which state.
    pub state: State,
    /// Since when in service: how long ago its first `init` was done.
    pub in_service: Option<Duration>,
    /// How many requests each lane of its queue can hold; none if it is unbounded.
    pub capacity: Option<usize>,
    /// What has become of its requests.
    pub requests: Stats,
    /// What each of its workers is doing, with the request that it has in hand and for how long; in
    /// the order of their numbers.
    pub workers: Vec<WorkerStatus>,
    /// How many timers its handlers have.
    pub timers: usize,
    /// How often its handlers were made anew, by failures and by renewals.
    pub restarts: u64,
    /// Why one of its handlers failed, the last time.
    pub last_failure: Option<String>,
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum State {
    /// Its `init` is not done yet.
    Starting,
    /// In service.
    Up,
    /// It accepts nothing more, and has not ended yet.
    Stopping,
    /// It ended in order.
    Ended,
    /// It failed, for good.
    Failed,
}

pub(in crate::system) fn status(inner: &Inner) -> Vec<ComponentStatus> {
    inner
        .components
        .iter()
        .map(|component| of_component(inner, component))
        .collect()
}

fn of_component(inner: &Inner, component: &Component) -> ComponentStatus {
    let is_up = component.is_up.load(Ordering::Acquire);
    let instances = component.instances.get().into_iter().flatten();
    ComponentStatus {
        name: component.name.to_string(),
        needs: component.needs.to_vec(),
        group: component
            .supervision
            .as_ref()
            .map(|group| group.name().to_owned()),
        instances: instances
            .map(|instance| of_instance(inner, instance, is_up))
            .collect(),
    }
}

fn of_instance(inner: &Inner, instance: &Instance, is_up: bool) -> InstanceStatus {
    let Instance {
        client,
        record,
        stopper,
        ..
    } = instance;
    let now = inner.clock.now();
    let state = match instance.outcome() {
        Some(Ok(())) => State::Ended,
        Some(Err(_)) => State::Failed,
        None if client.is_closed() => State::Stopping,
        None if is_up => State::Up,
        None => State::Starting,
    };
    InstanceStatus {
        state,
        in_service: record
            .up_since()
            .map(|since| now.saturating_duration_since(since)),
        capacity: client.capacity(),
        requests: client.stats(),
        workers: stopper.workers(),
        timers: record.timers(),
        restarts: record.restarts(),
        last_failure: record.last_failure(),
    }
}
