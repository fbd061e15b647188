//! Layers of tower over a client.

mod support;

use std::{future, sync::Arc, thread, time::Duration};

use futures_util::{StreamExt, stream};
use support::{eventually_async, must_end};
use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt,
    buffer::Buffer,
    limit::ConcurrencyLimit,
    load_shed::{LoadShed, error::Overloaded},
    retry::{Policy, Retry},
    timeout::{Timeout, error::Elapsed},
    util::BoxCloneService,
};
use ump::{Client, Executed, Refused, RequestError, Server};
use ump_tower::ClientService;

type TestServer = Server<u32, u32, Refused>;
type TestClient = Client<u32, u32, Refused>;
type TestService = ClientService<u32, u32, Refused>;
type TestError = RequestError<(), Refused>;

const SHORT: Duration = Duration::from_millis(5);

fn bounded(capacity: usize) -> (TestServer, TestClient, TestService) {
    let (server, client) = ump::bounded(capacity).unwrap();
    (server, client.clone(), ClientService::new(client))
}

/// Answers each request with its successor, and refuses zero.
fn serve(server: TestServer) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for (n, rctx) in &server {
            let _ = rctx.answer(if n == 0 { Err(Refused) } else { Ok(n + 1) });
        }
    })
}

fn of(error: &BoxError) -> Option<&TestError> {
    error.downcast_ref()
}

#[tokio::test]
async fn a_timeout_revokes_the_request() {
    let (server, client, service) = bounded(1);
    let mut service = Timeout::new(service, SHORT);
    let error = service.ready().await.unwrap().call(1).await.unwrap_err();
    assert!(error.is::<Elapsed>());
    assert!(server.is_empty());
    assert_eq!(client.stats().cancelled_queued, 1);
    // The room is free again.
    must_end(service.ready()).await.unwrap();
}

#[tokio::test]
async fn load_is_shed_while_the_queue_is_full() {
    let (server, client, service) = bounded(1);
    let mut service = LoadShed::new(service);
    client.post(1).wait().unwrap();
    let error = service.ready().await.unwrap().call(2).await.unwrap_err();
    assert!(error.is::<Overloaded>());
    let serving = serve(server);
    eventually_async(|| client.is_empty()).await;
    let reply = service.ready().await.unwrap().call(2).await;
    assert_eq!(reply.unwrap(), 3);
    drop((service, client));
    serving.join().unwrap();
}

#[tokio::test]
async fn a_shedding_service_tells_full_from_other_errors() {
    let (_server, client, service) = bounded(1);
    client.post(1).wait().unwrap();
    let mut service = ServiceBuilder::new()
        .timeout(support::LONG)
        .service(service.shed());
    let error = service.ready().await.unwrap().call(2).await.unwrap_err();
    assert_eq!(of(&error), Some(&RequestError::Full(())));
    assert_eq!(of(&error).map(TestError::executed), Some(Executed::No));
}

#[tokio::test]
async fn a_concurrency_limit_bounds_the_requests_under_way() {
    let (server, client, service) = bounded(8);
    let service = ConcurrencyLimit::new(service, 2);
    let calls: Vec<_> = (1..=6)
        .map(|n| tokio::spawn(service.clone().oneshot(n)))
        .collect();
    for _ in 0..3 {
        eventually_async(|| client.len() == 2).await;
        let taken = [server.wait().unwrap(), server.wait().unwrap()];
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(server.is_empty());
        for (n, rctx) in taken {
            rctx.reply(n + 1).unwrap();
        }
    }
    let mut replies = 0;
    for call in calls {
        replies += must_end(call).await.unwrap().unwrap();
    }
    assert_eq!(replies, 27);
}

#[tokio::test]
async fn a_deadline_does_not_end_a_buffer() {
    let (server, client, service) = bounded(1);
    client.post(9).wait().unwrap();
    let mut service = Buffer::new(service.timeout(SHORT), 4);
    let error = must_end(service.ready().await.unwrap().call(1))
        .await
        .unwrap_err();
    assert_eq!(of(&error), Some(&RequestError::TimeoutQueued(())));

    assert_eq!(server.wait().unwrap().0, 9);
    let service_again = service.clone();
    let reply = tokio::spawn(async move {
        loop {
            match service_again.clone().oneshot(2).await {
                Err(error) if of(&error).is_some_and(TestError::is_timeout) => {}
                outcome => return outcome,
            }
        }
    });
    let serving = serve(server);
    assert_eq!(must_end(reply).await.unwrap().unwrap(), 3);
    drop((service, client));
    // The buffer's worker holds the service until its last handle is gone.
    must_end(tokio::task::spawn_blocking(|| serving.join().unwrap()))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_end_of_the_server_ends_a_buffer() {
    let (server, _client, service) = bounded(1);
    let mut service = Buffer::new(service, 4);
    drop(server);
    let error = must_end(service.ready().await.unwrap().call(1))
        .await
        .unwrap_err();
    assert!(error.is::<tower::buffer::error::ServiceError>());
    assert!(
        error.to_string().contains("the server disappeared"),
        "{error}"
    );
    // No later request waits.
    assert!(must_end(service.oneshot(2)).await.is_err());
}

/// Repeats requests that were not executed, once there is room.
#[derive(Clone)]
struct WhenRoom(Arc<TestServer>);

impl Policy<u32, u32, TestError> for WhenRoom {
    type Future = future::Ready<()>;

    fn retry(&mut self, _: &mut u32, result: &mut Result<u32, TestError>) -> Option<Self::Future> {
        match result {
            Err(error) if error.executed() == Executed::No => {
                // Makes room, and answers what comes then.
                drop(self.0.wait().unwrap());
                let server = Arc::clone(&self.0);
                thread::spawn(move || server.wait().map(|(n, rctx)| rctx.reply(n + 1)));
                Some(future::ready(()))
            }
            _ => None,
        }
    }

    fn clone_request(&mut self, n: &u32) -> Option<u32> {
        Some(*n)
    }
}

#[tokio::test]
async fn a_request_that_was_not_executed_is_retried() {
    let (server, client, service) = bounded(1);
    client.post(9).wait().unwrap();
    let mut service = Retry::new(WhenRoom(Arc::new(server)), service.shed());
    let reply = must_end(service.ready().await.unwrap().call(1)).await;
    assert_eq!(reply, Ok(2));
    assert_eq!(client.stats().refused, 1);
}

#[tokio::test]
async fn errors_of_the_application_pass_through_a_stack() {
    let (server, client, service) = bounded(4);
    drop(client);
    let serving = serve(server);
    let service = ServiceBuilder::new()
        .buffer(4)
        .concurrency_limit(2)
        .timeout(support::LONG)
        .service(service);
    let service: BoxCloneService<u32, u32, BoxError> = BoxCloneService::new(service);
    assert_eq!(must_end(service.clone().oneshot(1)).await.unwrap(), 2);
    let error = must_end(service.clone().oneshot(0)).await.unwrap_err();
    assert_eq!(of(&error), Some(&RequestError::App(Refused)));
    drop(service);
    must_end(tokio::task::spawn_blocking(|| serving.join().unwrap()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stream_of_requests_is_answered_in_order() {
    let (server, client, service) = bounded(2);
    drop(client);
    let serving = serve(server);
    let replies = service.call_all(stream::iter(1..=50));
    let replies: Vec<u32> = must_end(replies.map(Result::unwrap).collect::<Vec<_>>()).await;
    assert!((2..=51).eq(replies));
    must_end(tokio::task::spawn_blocking(|| serving.join().unwrap()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clones_share_the_room() {
    const CLONES: u32 = 16;
    const CALLS: u32 = 100;
    let (server, client, service) = bounded(2);
    drop(client);
    let serving = thread::spawn(move || {
        let mut taken = 0;
        for (n, rctx) in &server {
            assert!(server.len() <= 2);
            taken += 1;
            let _ = rctx.reply(n + 1);
        }
        taken
    });
    let tasks: Vec<_> = (0..CLONES)
        .map(|clone| {
            let mut service = service.clone();
            tokio::spawn(async move {
                for n in 0..CALLS {
                    let ready = service.ready().await.unwrap();
                    if (clone + n) % 7 == 0 {
                        // Ready, and not called: the next one must not wait for this.
                        ready.release();
                    }
                    assert_eq!(service.call(n).await, Ok(n + 1));
                }
            })
        })
        .collect();
    drop(service);
    for task in tasks {
        must_end(task).await.unwrap();
    }
    let taken = must_end(tokio::task::spawn_blocking(|| serving.join().unwrap())).await;
    assert_eq!(taken.unwrap(), CLONES * CALLS);
}
