//! Components and their instances.

use serde::Serialize;
use ump::Stats;
use ump_server::{
    Decision, InHand, WorkerState, WorkerStatus,
    net::SocketStatus,
    system::{ComponentStatus, InstanceStatus, PastFailure, PastStall, State},
    watchdog::Stage,
};

/// A component.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) state: Condition,
    pub(crate) needs: Vec<String>,
    pub(crate) group: Option<String>,
    pub(crate) instances: Vec<Instance>,
}

/// The state of a component or an instance. That of a component is the one of its instances that
/// needs attention most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    Ended,
    Up,
    Stopping,
    Starting,
    NotLaunched,
    Failed,
}

impl Condition {
    pub(crate) const ALL: [Self; 6] = [
        Self::Up,
        Self::Starting,
        Self::Stopping,
        Self::Ended,
        Self::Failed,
        Self::NotLaunched,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Up => "up",
            Self::Stopping => "stopping",
            Self::Starting => "starting",
            Self::NotLaunched => "not_launched",
            Self::Failed => "failed",
        }
    }
}

/// An instance of a component.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Instance {
    pub(crate) state: Condition,
    pub(crate) in_service_s: Option<f64>,
    pub(crate) capacity: Option<usize>,
    pub(crate) requests: Stats,
    pub(crate) workers: Vec<Worker>,
    pub(crate) timers: usize,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) restarts: u64,
    pub(crate) last_failure: Option<String>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) stalls: Vec<Stall>,
}

/// A stall that the watchdog noticed.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Stall {
    pub(crate) age_s: f64,
    pub(crate) worker: usize,
    pub(crate) kind: &'static str,
    pub(crate) caller: Option<String>,
    pub(crate) elapsed_s: f64,
    pub(crate) is_over: bool,
}

/// A past failure of a handler.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Failure {
    pub(crate) age_s: f64,
    pub(crate) reason: String,
    pub(crate) decision: &'static str,
    pub(crate) pause_s: Option<f64>,
}

/// A worker of an instance.
#[expect(clippy::struct_field_names, reason = "as in JSON")]
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Worker {
    pub(crate) worker: usize,
    pub(crate) state: &'static str,
    pub(crate) processed: u64,
    pub(crate) restarts: u64,
    pub(crate) in_hand: Option<Call>,
}

/// The call that a handler has in hand.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Call {
    pub(crate) kind: &'static str,
    pub(crate) caller: Option<String>,
    pub(crate) age_s: Option<f64>,
    pub(crate) is_running: bool,
}

/// A socket of an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Socket {
    pub(crate) worker: usize,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) local: String,
    pub(crate) peer: String,
    pub(crate) is_connecting: bool,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) events: u64,
    pub(crate) errors: u64,
    pub(crate) age_s: f64,
}

impl Component {
    /// Returns whether nothing but ages is different. That of a call that is in hand counts.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.state == other.state
            && self.instances.len() == other.instances.len()
            && self
                .instances
                .iter()
                .zip(&other.instances)
                .all(|(a, b)| a.is_same(b))
    }
}

impl Instance {
    fn is_same(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.state, it.requests, it.timers, it.restarts);
        of(self) == of(other)
            && self.last_failure == other.last_failure
            && self.failures.len() == other.failures.len()
            && self.stalls.len() == other.stalls.len()
            && self
                .stalls
                .iter()
                .zip(&other.stalls)
                .all(|(a, b)| a.is_same(b))
            && self.workers == other.workers
            && self.sockets.len() == other.sockets.len()
            && self
                .sockets
                .iter()
                .zip(&other.sockets)
                .all(|(a, b)| a.is_same(b))
    }
}

impl Socket {
    fn is_same(&self, other: &Self) -> bool {
        let of = |it: &Self| {
            (
                it.bytes_in,
                it.bytes_out,
                it.events,
                it.errors,
                it.is_connecting,
            )
        };
        of(self) == of(other) && self.id == other.id && self.worker == other.worker
    }
}

impl From<ComponentStatus> for Component {
    fn from(status: ComponentStatus) -> Self {
        let instances: Vec<Instance> = status.instances.into_iter().map(Into::into).collect();
        let worst = instances.iter().map(|instance| instance.state).max();
        Self {
            name: status.name,
            state: worst.unwrap_or(Condition::NotLaunched),
            needs: status.needs,
            group: status.group,
            instances,
        }
    }
}

impl From<InstanceStatus> for Instance {
    fn from(status: InstanceStatus) -> Self {
        Self {
            state: status.state.into(),
            in_service_s: status.in_service.map(|time| time.as_secs_f64()),
            capacity: status.capacity,
            requests: status.requests,
            workers: status.workers.into_iter().map(Into::into).collect(),
            timers: status.timers,
            sockets: status.sockets.into_iter().map(Into::into).collect(),
            restarts: status.restarts,
            last_failure: status.last_failure,
            failures: status.failures.into_iter().map(Into::into).collect(),
            stalls: status.stalls.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<PastFailure> for Failure {
    fn from(failure: PastFailure) -> Self {
        let (decision, pause) = match failure.decision {
            Decision::Continue => ("continue", None),
            Decision::Restart { pause } => ("restart", Some(pause)),
            Decision::GiveUp => ("give_up", None),
            // The enum is not exhaustive.
            _ => ("end", None),
        };
        Self {
            age_s: failure.age.as_secs_f64(),
            reason: failure.reason,
            decision,
            pause_s: pause.map(|pause| pause.as_secs_f64()),
        }
    }
}

impl From<PastStall> for Stall {
    fn from(stall: PastStall) -> Self {
        Self {
            age_s: stall.age.as_secs_f64(),
            worker: stall.worker,
            kind: stall.kind,
            caller: stall.caller.map(ToString::to_string),
            elapsed_s: stall.elapsed.as_secs_f64(),
            is_over: stall.stage == Stage::Over,
        }
    }
}

impl Stall {
    fn is_same(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.worker, it.elapsed_s, it.is_over);
        of(self) == of(other)
    }
}

impl From<State> for Condition {
    fn from(state: State) -> Self {
        match state {
            State::Up => Self::Up,
            State::Stopping => Self::Stopping,
            State::Ended => Self::Ended,
            State::Failed => Self::Failed,
            // The enum is not exhaustive.
            _ => Self::Starting,
        }
    }
}

impl From<WorkerStatus> for Worker {
    fn from(status: WorkerStatus) -> Self {
        Self {
            worker: status.worker,
            state: match status.state {
                WorkerState::Starting => "starting",
                WorkerState::Serving => "serving",
                WorkerState::Pausing => "pausing",
                WorkerState::Ending => "ending",
                _ => "ended",
            },
            processed: status.processed,
            restarts: status.restarts,
            in_hand: status.in_hand.map(Into::into),
        }
    }
}

impl From<InHand> for Call {
    fn from(call: InHand) -> Self {
        Self {
            kind: call.kind,
            caller: call.caller.map(ToString::to_string),
            age_s: call.age.map(|age| age.as_secs_f64()),
            is_running: call.is_running,
        }
    }
}

impl From<SocketStatus> for Socket {
    fn from(status: SocketStatus) -> Self {
        Self {
            worker: status.worker,
            id: status.id.to_string(),
            kind: status.kind.to_string(),
            local: status.local.to_string(),
            peer: status.peer.to_string(),
            is_connecting: status.is_connecting,
            bytes_in: status.bytes_in,
            bytes_out: status.bytes_out,
            events: status.events,
            errors: status.errors,
            age_s: status.age.as_secs_f64(),
        }
    }
}
