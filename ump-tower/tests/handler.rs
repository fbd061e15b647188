//! A tower service as the handler of a loop.

mod support;

use std::{
    convert::Infallible,
    future::{self, IntoFuture},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    error_handling::HandleError,
    extract::Path,
    http::{Request, StatusCode},
    response::Response,
    routing::get,
};
use support::{eventually_async, must_end};
use tokio::sync::{Notify, Semaphore};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use ump::{Client, NoReply, Refused, RequestError};
use ump_server::{OnPanic, Restart, Stop, task};
use ump_tower::{ClientService, TowerHandler, axum::ErrorResponse};

/// A service that panics if it is called without being ready, as tower allows.
#[derive(Debug, Default)]
struct Strict {
    is_ready: bool,
    calls: u32,
    /// The number of calls after which `poll_ready` fails.
    fails_after: Option<u32>,
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = future::Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        if self.fails_after == Some(self.calls) {
            return Poll::Ready(Err("worn out"));
        }
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u32) -> Self::Future {
        assert!(self.is_ready, "not ready");
        self.is_ready = false;
        self.calls += 1;
        future::ready(n.checked_add(1).ok_or("too large"))
    }
}

#[tokio::test]
async fn responses_are_replies_and_errors_the_applications() {
    let (client, handle) = task::serve(TowerHandler::new(Strict::default()));
    for n in 0..10 {
        assert_eq!(client.request(n).await, Ok(n + 1));
    }
    assert_eq!(
        client.request(u32::MAX).await,
        Err(RequestError::App("too large"))
    );
    client.post(1).await.unwrap();
    assert_eq!(client.request(1).await, Ok(2));
    drop(client);
    assert_eq!(must_end(handle).await, Ok(None));
}

#[tokio::test]
async fn a_service_that_fails_to_become_ready_ends_the_loop() {
    let service = Strict {
        fails_after: Some(1),
        ..Strict::default()
    };
    let (client, handle) = task::serve(TowerHandler::new(service));
    let (first, second, third) =
        tokio::join!(client.request(1), client.request(2), client.request(3));
    assert_eq!(first, Ok(2));
    assert_eq!(second, Err(RequestError::App("worn out")));
    assert_eq!(third, Err(RequestError::ServerDisappeared(3)));
    assert_eq!(must_end(handle).await, Ok(Some(())));
}

/// A service whose readiness is a permit, and whose calls end when they are told to.
#[derive(Clone, Debug)]
struct Controlled {
    permits: Arc<Semaphore>,
    finish: Arc<Notify>,
    calls: Arc<AtomicUsize>,
    finished: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Controlled {
    fn new(permits: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            finish: Arc::default(),
            calls: Arc::default(),
            finished: Arc::default(),
            dropped: Arc::default(),
        }
    }

    fn service(
        &self,
    ) -> impl Service<u32, Response = u32, Error = Refused, Future: Send> + Clone + Send + use<>
    {
        struct CountsDrop(Arc<AtomicUsize>);
        impl Drop for CountsDrop {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let this = self.clone();
        service_fn(move |n| {
            let this = this.clone();
            this.calls.fetch_add(1, Ordering::SeqCst);
            async move {
                let _counts = CountsDrop(Arc::clone(&this.dropped));
                this.finish.notified().await;
                this.finished.fetch_add(1, Ordering::SeqCst);
                Ok(n + 1)
            }
        })
    }
}

fn get_count(count: &AtomicUsize) -> usize {
    count.load(Ordering::SeqCst)
}

#[tokio::test]
async fn the_response_is_dropped_if_its_caller_leaves() {
    let controlled = Controlled::new(0);
    let (client, handle) = task::serve(TowerHandler::new(controlled.service()));
    let client = Arc::new(client);
    let call = tokio::spawn(Client::request_owned(Arc::clone(&client), 1).into_future());
    eventually_async(|| get_count(&controlled.calls) == 1).await;
    call.abort();
    eventually_async(|| get_count(&controlled.dropped) == 1).await;
    assert_eq!(get_count(&controlled.finished), 0);

    // A deadline is such a cause, too.
    let late = client.request(1).timeout(Duration::from_millis(5)).await;
    assert!(late.unwrap_err().is_timeout());
    eventually_async(|| get_count(&controlled.dropped) == get_count(&controlled.calls)).await;
    assert_eq!(get_count(&controlled.finished), 0);

    // A post is completed.
    let calls = get_count(&controlled.calls);
    client.post(1).await.unwrap();
    controlled.finish.notify_one();
    eventually_async(|| get_count(&controlled.finished) == 1).await;
    assert_eq!(get_count(&controlled.calls), calls + 1);
    drop(client);
    assert_eq!(must_end(handle).await, Ok(None));
}

#[tokio::test]
async fn a_response_can_run_to_completion() {
    let controlled = Controlled::new(0);
    let handler = TowerHandler::new(controlled.service()).run_to_completion();
    let (client, handle) = task::serve(handler);
    let client = Arc::new(client);
    let call = tokio::spawn(Client::request_owned(Arc::clone(&client), 1).into_future());
    eventually_async(|| get_count(&controlled.calls) == 1).await;
    call.abort();
    eventually_async(|| client.stats().cancelled_taken == 1).await;
    controlled.finish.notify_one();
    eventually_async(|| get_count(&controlled.finished) == 1).await;
    drop(client);
    assert_eq!(must_end(handle).await, Ok(None));
}

#[tokio::test]
async fn a_request_whose_caller_leaves_before_readiness_is_not_called() {
    let controlled = Controlled::new(0);
    let service = controlled.service();
    let limited =
        tower::limit::ConcurrencyLimit::with_semaphore(service, Arc::clone(&controlled.permits));
    for completes in [false, true] {
        let mut handler = TowerHandler::new(limited.clone());
        if completes {
            handler = handler.run_to_completion();
        }
        let (client, handle) = task::serve(handler);
        let client = Arc::new(client);
        let call = tokio::spawn(Client::request_owned(Arc::clone(&client), 1).into_future());
        eventually_async(|| client.stats().taken == 1).await;
        call.abort();
        eventually_async(|| client.stats().cancelled_taken == 1).await;
        controlled.permits.add_permits(1);
        drop(client);
        assert_eq!(must_end(handle).await, Ok(None));
        assert_eq!(get_count(&controlled.calls), 0);
        // The permit is back, as the service is gone.
        controlled.permits.acquire().await.unwrap().forget();
    }
}

#[tokio::test]
async fn a_pool_limits_the_calls_at_a_time() {
    const WORKERS: usize = 3;
    let controlled = Controlled::new(0);
    let handler = TowerHandler::new(controlled.service());
    let builder = task::Builder::new().capacity(16);
    let (client, handle) = builder
        .spawn_pool(NonZeroUsize::new(WORKERS).unwrap(), move |_| {
            Ok(handler.clone())
        })
        .unwrap();
    let client = Arc::new(client);
    let calls: Vec<_> = (0..10)
        .map(|n| tokio::spawn(Client::request_owned(Arc::clone(&client), n).into_future()))
        .collect();
    eventually_async(|| get_count(&controlled.calls) == WORKERS && client.len() == 10 - WORKERS)
        .await;
    for finished in 1..=10 {
        controlled.finish.notify_one();
        eventually_async(|| get_count(&controlled.finished) == finished).await;
        eventually_async(|| get_count(&controlled.calls) == (finished + WORKERS).min(10)).await;
    }
    for (n, call) in (0..).zip(calls) {
        assert_eq!(must_end(call).await.unwrap(), Ok(n + 1));
    }
    drop(client);
    assert_eq!(must_end(handle).await, Ok(None));
}

/// A worker that does not get to its call must not keep its place before a limit while it is idle:
/// the requests of the other workers would wait for it.
#[tokio::test]
async fn a_request_that_leaves_in_line_gives_its_place_to_the_next() {
    for completes in [false, true] {
        let controlled = Controlled::new(1);
        let mut handler = TowerHandler::new(tower::limit::ConcurrencyLimit::with_semaphore(
            controlled.service(),
            Arc::clone(&controlled.permits),
        ));
        if completes {
            handler = handler.run_to_completion();
        }
        let (client, handle) = task::Builder::new()
            .spawn_pool(NonZeroUsize::new(3).unwrap(), move |_| Ok(handler.clone()))
            .unwrap();
        let client = Arc::new(client);
        let mut calls = Vec::new();
        for n in 1..=3 {
            calls.push(tokio::spawn(
                Client::request_owned(Arc::clone(&client), n).into_future(),
            ));
            eventually_async(|| client.stats().taken == u64::from(n)).await;
        }
        let second = calls.remove(1);
        second.abort();
        eventually_async(|| client.stats().cancelled_taken == 1).await;
        for (call, finished) in calls.into_iter().zip(1..) {
            controlled.finish.notify_one();
            assert!(must_end(call).await.unwrap().is_ok(), "{finished}");
        }
        assert_eq!(get_count(&controlled.calls), 2);
        eventually_async(|| controlled.permits.available_permits() == 1).await;
        drop(client);
        assert_eq!(must_end(handle).await, Ok(None));
    }
}

/// If the loop ends the request, it drops the future of the handler, too.
#[tokio::test]
async fn a_request_that_times_out_in_line_gives_its_place_to_the_next() {
    let controlled = Controlled::new(0);
    let handler = TowerHandler::new(tower::limit::ConcurrencyLimit::with_semaphore(
        controlled.service(),
        Arc::clone(&controlled.permits),
    ));
    let (client, handle) = task::Builder::new()
        .request_timeout(Duration::from_millis(5))
        .spawn_pool(NonZeroUsize::new(2).unwrap(), move |_| Ok(handler.clone()))
        .unwrap();
    let late = must_end(client.request(1)).await;
    assert!(matches!(
        late,
        Err(RequestError::NoReply(NoReply::TimedOut))
    ));
    controlled.permits.add_permits(1);
    eventually_async(|| controlled.permits.available_permits() == 1).await;
    drop(client);
    assert_eq!(must_end(handle).await, Ok(None));
}

#[tokio::test]
async fn a_panic_ends_its_request_and_the_service_is_rebuilt() {
    let handler = TowerHandler::new(service_fn(async |n: u32| {
        assert!(n > 0, "no zero");
        Ok::<_, Refused>(n - 1)
    }));
    let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
    let (client, handle) = task::Builder::new()
        .on_panic(OnPanic::Restart(restart))
        .spawn_with(move |_| Ok(handler.clone()))
        .unwrap();
    let Err(RequestError::NoReply(NoReply::Panicked(message))) = client.request(0).await else {
        panic!("it panics")
    };
    assert_eq!(message.as_str(), Some("no zero"));
    assert_eq!(client.request(1).await, Ok(0));
    drop(client);
    assert_eq!(must_end(handle).await, Ok(None));
}

#[tokio::test]
async fn an_abort_drops_the_response() {
    let controlled = Controlled::new(0);
    let (client, handle) = task::serve(TowerHandler::new(controlled.service()));
    let call = tokio::spawn(Client::request_owned(Arc::new(client), 1).into_future());
    eventually_async(|| get_count(&controlled.calls) == 1).await;
    handle.stopper().stop(Stop::Abort);
    let outcome = must_end(call).await.unwrap();
    assert_eq!(outcome, Err(RequestError::NoReply(NoReply::Aborted)));
    assert_eq!(must_end(handle).await, Ok(None));
    assert_eq!(get_count(&controlled.dropped), 1);
}

/// A service that asks the server that it is behind.
fn asks_itself(
    client: ump::WeakClient<u32, u32, Refused>,
) -> impl Service<u32, Response = u32, Error = Refused, Future: Send> + Send + 'static {
    service_fn(move |n| {
        let client = client.upgrade().map(ClientService::new);
        async move {
            let mut service = client.ok_or(Refused)?;
            let ready = service.ready().await.map_err(|_| Refused)?;
            match ready.call(n).await {
                Err(RequestError::WouldDeadlock((), _)) => Ok(n + 1),
                _ => Err(Refused),
            }
        }
    })
}

#[tokio::test]
async fn a_deadlock_through_the_service_is_found_if_it_runs_to_completion() {
    let (client, handle) = task::Builder::new()
        .capacity(4)
        .spawn(|client: &Client<u32, u32, Refused>| {
            Ok(TowerHandler::new(asks_itself(client.weak())).run_to_completion())
        })
        .unwrap();
    assert_eq!(must_end(client.request(1)).await, Ok(2));
    drop(client);
    assert_eq!(must_end(handle).await, Ok(None));
}

#[tokio::test]
async fn a_stack_in_front_meets_a_stack_behind() {
    let behind = ServiceBuilder::new()
        .timeout(support::LONG)
        .concurrency_limit(4)
        .service(service_fn(async |n: u32| n.checked_add(1).ok_or(Refused)));
    let (client, handle) = task::serve(TowerHandler::new(behind));
    // The errors of the stack behind are boxed: they are the application's own here.
    let front = ClientService::new(client).map_err(|error| match error {
        RequestError::App(error) => error,
        error => BoxError::from(error.map_app(|_| Refused)),
    });
    let mut front = ServiceBuilder::new().buffer(4).service(front);
    assert_eq!(
        must_end(front.ready().await.unwrap().call(1))
            .await
            .unwrap(),
        2
    );
    let error = must_end(front.ready().await.unwrap().call(u32::MAX))
        .await
        .unwrap_err();
    assert!(error.is::<Refused>(), "{error:?}");
    drop(front);
    assert_eq!(must_end(handle).await, Ok(None));
}

/// Requests and bodies of axum are not `Sync`.
#[tokio::test]
async fn a_router_can_stand_behind_a_channel() {
    let inner = Router::new().route("/{name}", get(async |Path(name): Path<String>| name));
    let handler = TowerHandler::<_, Request<Body>>::new(inner);
    let (client, handle) = task::Builder::new()
        .capacity(4)
        .spawn_pool(NonZeroUsize::MIN, move |_| Ok(handler.clone()))
        .unwrap();
    let service = ClientService::<Request<Body>, Response, Infallible>::new(client).shed();
    let front = HandleError::new(service, async |error: RequestError<(), Infallible>| {
        ErrorResponse::from(error)
    });
    let outer = Router::new().fallback_service(front);
    for _ in 0..3 {
        let request = Request::get("/someone").body(Body::empty()).unwrap();
        let response = must_end(outer.clone().oneshot(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(body, "someone");
    }
    handle.stopper().stop(Stop::Refuse);
    must_end(handle).await.unwrap();
    let request = Request::get("/someone").body(Body::empty()).unwrap();
    let response = must_end(outer.oneshot(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn readiness_is_awaited() {
    // The service becomes ready at the third poll.
    #[derive(Debug)]
    struct Slow(u32);
    impl Service<u32> for Slow {
        type Response = u32;
        type Error = Refused;
        type Future = future::Ready<Result<u32, Refused>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
            if self.0 < 2 {
                self.0 += 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, n: u32) -> Self::Future {
            assert_eq!(std::mem::take(&mut self.0), 2);
            future::ready(Ok(n + 1))
        }
    }
    let (client, handle) = task::serve(TowerHandler::new(Slow(0)));
    for n in 0..3 {
        assert_eq!(must_end(client.request(n)).await, Ok(n + 1));
    }
    drop(client);
    assert_eq!(must_end(handle).await, Ok(None));
}
