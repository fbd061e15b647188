//! A `tower::Service` as the handler of a loop.

use std::{
    fmt,
    future::poll_fn,
    marker::PhantomData,
    ops::ControlFlow,
    pin::{Pin, pin},
    task::{Context, Poll},
    thread,
};

use tower_service::Service;
use ump_server::{ReplyContext, task};

/// A handler that answers each request by a [`tower::Service`](Service), so that a stack of tower
/// can stand behind a channel. Responses are replies; the errors of the service are the
/// application's own errors, which callers get as [`App`](ump::RequestError::App).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::num::NonZeroUsize;
/// use tower::{ServiceBuilder, service_fn};
/// use ump_server::{Refused, task};
/// use ump_tower::TowerHandler;
///
/// let stack = ServiceBuilder::new()
///     .concurrency_limit(64)
///     .service(service_fn(async |n: u32| n.checked_mul(n).ok_or(Refused)));
/// let handler = TowerHandler::new(stack);
/// let workers = NonZeroUsize::new(8).unwrap(); // at most so many calls at a time
/// let (client, _) = task::Builder::new().capacity(64).spawn_pool(workers, move |_| Ok(handler.clone()))?;
/// assert_eq!(client.request(12).await.ok(), Some(144));
/// # Ok(())
/// # }
/// ```
///
/// # Readiness and concurrency
/// Each call awaits `poll_ready` first. Then it awaits the response, before the loop takes the next
/// request: [`task::serve`] has one call at a time. A [pool](task::Builder::spawn_pool) has as many
/// as it has workers; each of them has a clone of the service, which is made ready by itself. The
/// requests beyond that wait in the channel, where their deadlines, cancellations and the bound of
/// the queue hold. A worker whose service is not ready has one request in hand.
///
/// A service that is ready, or is in line for it, holds what it shares with others: a permit of a
/// limit, room in a queue. If its request ends before the call, a handler that was cloned replaces
/// the service by a clone of it, which gives that back. A handler as [`new`](Self::new) makes it
/// cannot clone its service, and keeps it as it is for the next request: so clone the handler if
/// the service shares a limit with others.
///
/// # Errors
/// Layers that box their errors make `tower::BoxError` the application's own error. It is no
/// `std::error::Error` itself, so neither are the errors that contain it: `map_err` in the stack
/// turns it into an error of your own.
///
/// An error of `poll_ready` means that the service is finished. The request in hand gets it, and
/// the loop (of a pool: all of it) ends. Queued requests end in
/// [`ServerDisappeared`](ump::RequestError::ServerDisappeared). A panic of the service is treated
/// by the [policy](ump_server::OnPanic) of the loop.
///
/// # Callers that leave
/// If the caller leaves (it cancels, or its deadline passes), the future of its response is dropped
/// where it waits, or the service is not called at all. Choose
/// [`run_to_completion`](Self::run_to_completion) if the service must not be interrupted. Posts are
/// always completed.
///
/// A call that can be interrupted waits for its caller as well. So a
/// [deadlock](ump::RequestError::WouldDeadlock) by way of the service is not found; with
/// `run_to_completion` it is.
///
/// # Cancel safety
/// If the loop is [aborted](ump_server::Stop::Abort), the future of the response is dropped, and
/// the caller gets [`NoReply::Aborted`](ump::NoReply::Aborted).
pub struct TowerHandler<T, Req> {
    service: T,
    completes: bool,
    /// Clones the service. Only the implementation of `Clone` knows how.
    clone_service: Option<fn(&T) -> T>,
    request: PhantomData<fn(Req)>,
}

impl<T: Service<Req>, Req> TowerHandler<T, Req> {
    /// Creates a handler that drives `service`.
    #[must_use]
    pub fn new(service: T) -> Self {
        Self {
            service,
            completes: false,
            clone_service: None,
            request: PhantomData,
        }
    }

    /// Completes each call of the service, also if its caller has left meanwhile. A request whose
    /// caller has left before the service is called is not executed.
    #[must_use]
    pub fn run_to_completion(mut self) -> Self {
        self.completes = true;
        self
    }
}

impl<T, Req> task::Service for TowerHandler<T, Req>
where
    T: Service<Req> + Send + 'static,
    T::Response: Send + 'static,
    T::Error: Send + 'static,
    T::Future: Send,
    Req: Send + 'static,
{
    type Request = Req;
    type Reply = T::Response;
    type Error = T::Error;
    type Output = ();
    type Timer = ();

    async fn handle(
        &mut self,
        request: Req,
        mut reply: ReplyContext<'_, T::Response, T::Error>,
    ) -> ControlFlow<()> {
        let completes = self.completes;
        let readiness = Readiness {
            service: &mut self.service,
            clone_service: self.clone_service,
        };
        let ready = attend(&mut reply, completes, |cx| readiness.service.poll_ready(cx)).await;
        match ready {
            Some(Ok(())) if !reply.is_cancelled() => {}
            Some(Ok(())) | None => return ControlFlow::Continue(()),
            Some(Err(error)) => {
                // An error means that the caller has left.
                let _ = reply.fail(error);
                return ControlFlow::Break(());
            }
        }
        let mut response = pin!(readiness.call(request));
        let response = attend(&mut reply, completes, |cx| response.as_mut().poll(cx)).await;
        if let Some(response) = response {
            let _ = reply.answer(response);
        }
        ControlFlow::Continue(())
    }
}

/// A service that is made ready for one call. Dropped without the call, it gives back what it has
/// reserved, as nobody knows when the worker gets its next request.
struct Readiness<'a, T> {
    service: &'a mut T,
    clone_service: Option<fn(&T) -> T>,
}

impl<T> Readiness<'_, T> {
    fn call<Req>(mut self, request: Req) -> T::Future
    where
        T: Service<Req>,
    {
        self.clone_service = None;
        self.service.call(request)
    }
}

impl<T> Drop for Readiness<'_, T> {
    fn drop(&mut self) {
        // During a panic the loop decides about the handler, and a second panic would abort.
        if let Some(clone_service) = self.clone_service.filter(|_| !thread::panicking()) {
            *self.service = clone_service(self.service);
        }
    }
}

/// Awaits what `poll` returns. Returns `None` if the caller leaves first, unless `completes`.
///
/// The caller is not watched before `poll` has been pending.
async fn attend<R, E, T>(
    reply: &mut ReplyContext<'_, R, E>,
    completes: bool,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let mut cancelled = (!completes).then(|| reply.cancelled());
    poll_fn(|cx| {
        if let Poll::Ready(output) = poll(cx) {
            return Poll::Ready(Some(output));
        }
        match &mut cancelled {
            Some(cancelled) => Pin::new(cancelled).poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

impl<T: Clone, Req> Clone for TowerHandler<T, Req> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            completes: self.completes,
            clone_service: Some(T::clone),
            request: PhantomData,
        }
    }
}

impl<T, Req> fmt::Debug for TowerHandler<T, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerHandler")
            .field("completes", &self.completes)
            .finish_non_exhaustive()
    }
}
