//! A worker, as its controller sees it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::WorkerClient;
use crate::{
    InHand, JoinHandle, Stopper, WorkerState,
    sans_io::{
        EngineStats, NamedTask, SendTask, TaskAddress, TaskId, WorkerFailure, status::StatusCell,
    },
    sync::{self, Mutex},
};

pub(super) struct WorkerHandle<T: SendTask> {
    pub(super) client: Arc<WorkerClient<T>>,
    pub(super) handle: JoinHandle<()>,
    pub(super) stopper: Stopper,
    pub(super) shared: WorkerShared,
}

/// The state that a worker and its controller share.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkerShared {
    pub(super) status: sync::Arc<StatusCell>,
    pub(super) failure: Arc<Mutex<Option<WorkerFailure>>>,
}

/// The status of a worker of a [`Controller`](super::Controller).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorkerSummary {
    /// The number of the worker.
    pub worker: usize,
    /// The name of its loop.
    pub name: Arc<str>,
    /// The phase of its life.
    pub state: WorkerState,
    /// The number of tasks, those on their way included.
    pub tasks: usize,
    /// The part of the time since the last status that the worker was busy, from 0 to 1.
    pub load: f64,
    /// The mean time from a task's deadline until the worker noticed it, since the last status.
    pub lateness: Duration,
    /// The longest such time since the start.
    pub max_lateness: Duration,
    /// For how long the present turn has lasted, if there is one. A long one means that a task does
    /// not return.
    pub in_turn_for: Option<Duration>,
    /// The counters since the start.
    pub stats: EngineStats,
    /// The present call of the worker's handler.
    pub in_hand: Option<InHand>,
    /// The last failure, if the worker has failed.
    pub failure: Option<WorkerFailure>,
}

/// The last status of each worker.
pub(super) struct Summaries {
    last: Mutex<BTreeMap<usize, (Instant, EngineStats)>>,
    start: Instant,
}

impl Summaries {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            last: Mutex::new(BTreeMap::new()),
            start,
        }
    }

    pub(super) fn of<T: SendTask>(
        &self,
        number: usize,
        worker: &WorkerHandle<T>,
        now: Instant,
    ) -> WorkerSummary {
        let WorkerHandle {
            stopper, shared, ..
        } = worker;
        let stats = shared.status.stats();
        let last = self.last.lock().insert(number, (now, stats));
        let (since, before) = last.unwrap_or((self.start, EngineStats::default()));
        let elapsed = now.saturating_duration_since(since);
        let busy = stats.busy.saturating_sub(before.busy);
        let load = if elapsed.is_zero() {
            0.0
        } else {
            (busy.as_secs_f64() / elapsed.as_secs_f64()).min(1.0)
        };
        let late = stats
            .group
            .total_lateness
            .saturating_sub(before.group.total_lateness);
        let ticks = stats.group.ticks.saturating_sub(before.group.ticks);
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
        let status = stopper.workers().into_iter().next();
        WorkerSummary {
            worker: number,
            name: Arc::clone(stopper.shared_name()),
            state: status
                .as_ref()
                .map_or(WorkerState::Ended, |status| status.state),
            tasks: shared.status.load(),
            load,
            lateness: late.checked_div(ticks).unwrap_or_default(),
            max_lateness: stats.group.max_lateness,
            in_turn_for: shared.status.in_turn_for(now),
            stats,
            in_hand: status.and_then(|status| status.in_hand),
            failure: shared.failure.lock().clone(),
        }
    }
}

/// Returns the number of the worker with the fewest tasks, among those that have not ended.
pub(super) fn least_loaded<T: SendTask>(workers: &[WorkerHandle<T>]) -> Option<usize> {
    let alive = workers
        .iter()
        .enumerate()
        .filter(|(_, worker)| !worker.handle.is_finished());
    let least = alive.min_by_key(|(_, worker)| worker.shared.status.load());
    least.map(|(number, _)| number)
}

pub(in crate::sans_io) fn named(
    worker: usize,
    names: Vec<(TaskId, Cow<'static, str>)>,
) -> Vec<NamedTask> {
    let named = names.into_iter().map(|(task, name)| NamedTask {
        address: TaskAddress { worker, task },
        name,
    });
    named.collect()
}
