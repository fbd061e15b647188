//! The status of a system's components, as plain data.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use ump::Stats;

use crate::WorkerStatus;
use crate::system::report::{past_failure::PastFailure, past_stall::PastStall};
use crate::system::run::component::{Component, Inner, Instance};

/// The status of a component.
///
/// It is displayed with one line for each instance, which sums up the sockets. The alternate form
/// (`{:#}`) has a line for each socket as well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ComponentStatus {
    /// The name of the component.
    pub name: String,
    /// The names of the components that it needs.
    pub needs: Vec<String>,
    /// The name of the group that it is in.
    pub group: Option<String>,
    /// Its instances, in the order of their numbers. Empty if the component has not been launched
    /// yet.
    pub instances: Vec<InstanceStatus>,
}

/// The status of an instance of a component. The fields are read one after the other while the
/// instance runs, so one may be a little older than another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InstanceStatus {
    /// The state of the instance.
    pub state: State,
    /// The time since its first `init` finished. `None` before that.
    pub in_service: Option<Duration>,
    /// The capacity of each lane of its queue, in requests. `None` if the queue is unbounded.
    pub capacity: Option<usize>,
    /// The statistics of its requests.
    pub requests: Stats,
    /// The status of each worker, in the order of their numbers: what the worker does, which
    /// request it has in hand, and for how long.
    pub workers: Vec<WorkerStatus>,
    /// The open sockets of its workers. Empty on a task, whose sockets are those of its runtime.
    /// Reading them takes time in proportion to their number. Requires the feature `net`.
    #[cfg(all(feature = "net", unix))]
    pub sockets: Vec<crate::net::SocketStatus>,
    /// The number of timers that its handlers have.
    pub timers: usize,
    /// The number of times that its handlers were rebuilt, by failures and by renewals.
    pub restarts: u64,
    /// The reason of the last failure of one of its handlers.
    pub last_failure: Option<String>,
    /// The last failures of its handlers, at most 16, the oldest first.
    pub failures: Vec<PastFailure>,
    /// The last stalls that its [watchdog](crate::system::Attributes::watchdog) noticed, at most
    /// 16, the oldest first.
    pub stalls: Vec<PastStall>,
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum State {
    /// The component has not started yet: `init` of one of its instances has not finished.
    Starting,
    /// It is in service.
    Up,
    /// It accepts no more requests, and has not ended yet.
    Stopping,
    /// It ended in order.
    Ended,
    /// It failed permanently.
    Failed,
}

impl fmt::Display for ComponentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, instances, ..
        } = self;
        match &instances[..] {
            [] => write!(f, "{name}: not launched"),
            [instance] => write_line(f, format_args!("{name}"), instance),
            several => {
                for (number, instance) in several.iter().enumerate() {
                    if number > 0 {
                        f.write_str("\n")?;
                    }
                    write_line(f, format_args!("{name}[{number}]"), instance)?;
                }
                Ok(())
            }
        }
    }
}

/// Writes the line of an instance in the form that `f` has.
fn write_line(
    f: &mut fmt::Formatter<'_>,
    name: fmt::Arguments<'_>,
    instance: &InstanceStatus,
) -> fmt::Result {
    write!(f, "{name}: ")?;
    fmt::Display::fmt(instance, f)
}

/// In one line. The alternate form has a line for each socket as well.
impl fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            state,
            requests,
            restarts,
            timers,
            ..
        } = self;
        write!(
            f,
            "{state}, requests: {} accepted, {} queued, {} taken; timers: {timers}; \
             restarts: {restarts}",
            requests.accepted, requests.queued, requests.taken,
        )?;
        if let Some(reason) = &self.last_failure {
            write!(f, " (the last: {reason})")?;
        }
        #[cfg(all(feature = "net", unix))]
        if !self.sockets.is_empty() {
            write!(f, "; {}", crate::net::Summary(&self.sockets))?;
            if f.alternate() {
                for socket in &self.sockets {
                    write!(f, "\n    {socket}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
            Self::Failed => "failed",
        })
    }
}

pub(in crate::system) fn status(inner: &Inner) -> Vec<ComponentStatus> {
    inner
        .components
        .iter()
        .map(|component| of_component(inner, component))
        .collect()
}

fn of_component(inner: &Inner, component: &Component) -> ComponentStatus {
    // ORDERING: Acquire pairs with the Release store at the end of the component's start.
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
        #[cfg(all(feature = "net", unix))]
        sockets: stopper.sockets(),
        timers: record.timers(),
        restarts: record.restarts(),
        last_failure: record.last_failure(),
        failures: record.failures(now),
        stalls: record.stalls(now),
    }
}
