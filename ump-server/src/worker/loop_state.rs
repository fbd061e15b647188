//! What the workers of a loop share to report its start and its end.

use std::sync::Arc;

use ump::{ReplyContext, hooks::ChannelId};

use crate::{
    catch::ignore_user_panic,
    deadlock::{Promise, Responsible, WaitNode},
    sync::Mutex,
    worker::{join::JoinHandle, join_error::JoinError, question::question, stop::Stopper},
};

/// How a loop ends: with what its handler said, or with nothing if no client was left or it was
/// stopped.
pub(crate) type LoopResult<RV> = Result<Option<RV>, JoinError>;

/// What the workers of a loop share to tell how it goes.
#[derive(Debug)]
pub(crate) struct LoopState<RV> {
    state: Mutex<State<RV>>,
}

#[derive(Debug)]
struct State<RV> {
    /// Workers that have not started, and those that have not ended.
    starting: usize,
    going: usize,
    started: Option<ReplyContext<(), ()>>,
    ended: Option<Promise<Option<RV>, JoinError>>,
    /// The first one that says something.
    outcome: LoopResult<RV>,
}

impl<RV> LoopState<RV> {
    /// The life of a loop with workers in these wait nodes, at least one, and this channel; and
    /// what waits for its end.
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

    /// A worker has started.
    pub(crate) fn start(&self) {
        let mut state = self.state.lock();
        state.starting -= 1;
        let told = if state.starting == 0 {
            state.started.take()
        } else {
            None
        };
        drop(state);
        if let Some(told) = told {
            // Perhaps nobody asks.
            let _ = told.reply(());
        }
    }

    /// A worker has ended, having cleaned up. The last one tells the first outcome that says
    /// something.
    pub(crate) fn end(&self, outcome: LoopResult<RV>) {
        let mut state = self.state.lock();
        let ignored = if matches!(state.outcome, Ok(None)) {
            std::mem::replace(&mut state.outcome, outcome)
        } else {
            outcome
        };
        state.going -= 1;
        let told = if state.going == 0 {
            let outcome = std::mem::replace(&mut state.outcome, Ok(None));
            (state.started.take(), state.ended.take(), outcome)
        } else {
            (None, None, Ok(None))
        };
        drop(state);
        ignore_user_panic(|| drop(ignored));
        let (started, ended, outcome) = told;
        // Never started, then.
        drop(started);
        if let Some(ended) = ended {
            // If nobody waits for it, it comes back.
            ignore_user_panic(|| drop(ended.keep().answer(outcome)));
        }
    }
}

/// If its last worker was not let finish, there may be an outcome that nobody gets.
impl<RV> Drop for LoopState<RV> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.state.lock().outcome, Ok(None));
        ignore_user_panic(|| drop(outcome));
    }
}
