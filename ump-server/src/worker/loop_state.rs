//! The state that the workers of a loop share, to report its start and its end.

use std::sync::Arc;

use ump::{ReplyContext, hooks::ChannelId};

use crate::{
    catch::catch_user_panic,
    deadlock::{Promise, Responsible, WaitNode},
    sync::Mutex,
    worker::{join::JoinHandle, join_error::JoinError, question::question, stop::Stopper},
};

/// The result of a loop: the value of its handler, or `None` if no client was left or the loop was
/// stopped.
pub(crate) type LoopResult<RV> = Result<Option<RV>, JoinError>;

/// The state that the workers of a loop share, to report its start and its end.
#[derive(Debug)]
pub(crate) struct LoopState<RV> {
    state: Mutex<State<RV>>,
}

#[derive(Debug)]
struct State<RV> {
    /// The number of workers that have not started.
    starting: usize,
    /// The number of workers that have not ended.
    going: usize,
    started: Option<ReplyContext<(), ()>>,
    ended: Option<Promise<Option<RV>, JoinError>>,
    /// The outcome of the first worker whose outcome is not `Ok(None)`.
    outcome: LoopResult<RV>,
}

impl<RV> LoopState<RV> {
    /// Creates the state of a loop whose workers have these wait nodes, at least one, and that has
    /// this channel. Returns it with the handle that waits for the loop's end.
    pub(crate) fn new(
        wait_nodes: &[Arc<WaitNode>],
        channel: ChannelId,
        stopper: Stopper,
    ) -> (Arc<Self>, JoinHandle<RV>) {
        let workers = wait_nodes.len();
        let (start, started) = question();
        let (end, ended) = question();
        let end = Promise::new(end, &wait_nodes[0], Responsible::All);
        let life = Self {
            state: Mutex::new(State {
                starting: workers,
                going: workers,
                started: Some(start),
                ended: Some(end),
                outcome: Ok(None),
            }),
        };
        let handle = JoinHandle::new(stopper, started, ended, channel);
        (Arc::new(life), handle)
    }

    /// Records that a worker has started.
    pub(crate) fn start(&self) {
        let mut state = self.state.lock();
        state.starting -= 1;
        let started = if state.starting == 0 {
            state.started.take()
        } else {
            None
        };
        drop(state);
        if let Some(started) = started {
            // An error means that the caller has left.
            let _ = started.reply(());
        }
    }

    /// Records that a worker has ended and has cleaned up. The last worker reports the first
    /// outcome that is not `Ok(None)`.
    pub(crate) fn end(&self, outcome: LoopResult<RV>) {
        let mut state = self.state.lock();
        let ignored = if matches!(state.outcome, Ok(None)) {
            std::mem::replace(&mut state.outcome, outcome)
        } else {
            outcome
        };
        state.going -= 1;
        let ends = if state.going == 0 {
            let outcome = std::mem::replace(&mut state.outcome, Ok(None));
            (state.started.take(), state.ended.take(), outcome)
        } else {
            (None, None, Ok(None))
        };
        drop(state);
        catch_user_panic(|| drop(ignored));
        let (started, ended, outcome) = ends;
        // `Some` only if the loop never started: the drop ends the wait for the start.
        drop(started);
        if let Some(ended) = ended {
            // If the handle is gone, `answer` returns the outcome: its drop is user code.
            catch_user_panic(|| drop(ended.keep().answer(outcome)));
        }
    }
}

/// Drops an outcome that nobody receives: there may be one if the last worker was not allowed to
/// finish.
impl<RV> Drop for LoopState<RV> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.state.lock().outcome, Ok(None));
        catch_user_panic(|| drop(outcome));
    }
}
