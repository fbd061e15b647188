//! The way of a worker's reports to its controller.
//!
//! The queue is bounded. If it is full, the report waits in the worker's engine, which runs no turn
//! until there is room: so a slow application slows the tasks, and no report is lost. The worker
//! waits for room as a task would: by a future whose waker arms a timer of the loop.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc as StdArc,
    task::{Context as TaskContext, Poll, Wake, Waker},
    time::Duration,
};

use ump::{Client, Permit, SendError, WeakClient};

use crate::{
    Timers,
    sans_io::{
        Report,
        component::{Wakeup, Why},
    },
};

type Reports<E> = Client<Report<E>, (), ()>;
type WaitForRoom<E> =
    Pin<Box<dyn Future<Output = Result<Permit<'static, Report<E>, (), ()>, SendError<()>>> + Send>>;

pub(super) struct ReportPort<E: 'static> {
    client: StdArc<Reports<E>>,
    room: Option<WaitForRoom<E>>,
    waker: Waker,
}

/// Wakes a loop for its next turn.
struct TurnWaker(Timers<Wakeup>);

impl Wake for TurnWaker {
    fn wake(self: StdArc<Self>) {
        self.0.once(Duration::ZERO, Wakeup(Why::Turn));
    }
}

impl<E: Send + 'static> ReportPort<E> {
    pub(super) fn new(client: StdArc<Reports<E>>, timers: Timers<Wakeup>) -> Self {
        Self {
            client,
            room: None,
            waker: Waker::from(StdArc::new(TurnWaker(timers))),
        }
    }

    /// Sends a report. Returns it if there is no room; the loop is then woken when there is. If the
    /// controller is gone, the report is dropped.
    pub(super) fn send(&mut self, report: Report<E>) -> Result<(), Report<E>> {
        if self.room.is_none() {
            let sent = self.client.post(report).if_room().wait();
            let Err(SendError::Full(report)) = sent else {
                return Ok(());
            };
            let reserve = Client::reserve_owned(StdArc::clone(&self.client));
            self.room = Some(Box::pin(reserve.into_future()));
            return self.send(report);
        }
        let Some(room) = &mut self.room else {
            return Err(report);
        };
        match room
            .as_mut()
            .poll(&mut TaskContext::from_waker(&self.waker))
        {
            Poll::Pending => Err(report),
            Poll::Ready(permit) => {
                self.room = None;
                if let Ok(permit) = permit {
                    // An error means that the controller is gone.
                    let _ = permit.request(report).post().wait();
                }
                Ok(())
            }
        }
    }
}

/// Wakes a worker for messages of others.
pub(super) fn waker_of<S, R, E>(
    client: WeakClient<S, R, E>,
    timers: Timers<Wakeup>,
    wake: impl Fn() -> S + Send + Sync + 'static,
) -> impl Fn() + Send + Sync + 'static
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    move || {
        if let Some(client) = client.upgrade() {
            // If the queue is full, the worker looks at its messages in the turn after each
            // request. But the requests may be withdrawn, and a timer may not.
            if let Err(SendError::Full(_)) = client.post(wake()).if_room().wait() {
                timers.once(Duration::ZERO, Wakeup(Why::Turn));
            }
        }
    }
}
