//! Topics that are served by a loop of `ump-server`, or by another server that exists already.

use std::{num::NonZeroUsize, ops::ControlFlow};

use ump_router::{Call, Change, ChangeKind, RequestError, Router, ServeOptions, ump};
use ump_server::{ReplyContext, Stop};

use crate::{Double, double};

/// A handler of `ump-server`, used by each kind of loop.
#[derive(Clone)]
struct Doubler;

impl ump_server::thread::Handler<Call<Double>, u64, &'static str> for Doubler {
    fn proc_req(
        &mut self,
        Call { topic, message }: Call<Double>,
        rctx: ReplyContext<'_, u64, &'static str>,
    ) -> ControlFlow<()> {
        assert!(topic.as_str().starts_with("by"), "{topic}");
        let _ = match double(message.0) {
            Ok(reply) => rctx.reply(reply),
            Err(refusal) => rctx.fail(refusal),
        };
        ControlFlow::Continue(())
    }
}

impl ump_server::task::Handler<Call<Double>, u64, &'static str> for Doubler {
    async fn proc_req(
        &mut self,
        call: Call<Double>,
        rctx: ReplyContext<'_, u64, &'static str>,
    ) -> ControlFlow<()> {
        tokio::task::yield_now().await;
        ump_server::thread::Handler::proc_req(self, call, rctx)
    }
}

#[test]
fn thread_task_and_pool_loops_serve_a_topic() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let router = Router::new();
    let (by_thread, thread) = ump_server::thread::Builder::new()
        .spawn_with(|_| Ok(Doubler))
        .unwrap();
    let two = NonZeroUsize::new(2).unwrap();
    let (by_pool, pool) = ump_server::thread::Builder::new()
        .spawn_pool(two, |_| Ok(Doubler))
        .unwrap();
    let (by_task, task) = ump_server::task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn_with(|_| Ok(Doubler))
        .unwrap();
    let options = ServeOptions::new();
    let claims: Vec<_> = [
        ("by/thread", by_thread),
        ("by/pool", by_pool),
        ("by/task", by_task.clone()),
        ("by", by_task),
    ]
    .map(|(topic, client)| router.serve_by(topic, client, options).unwrap())
    .into();
    for claim in &claims {
        assert!(claim.is_serving());
        assert_eq!(router.request(claim.topic(), Double(4)).wait().unwrap(), 8);
        let refused = router.request(claim.topic(), Double(0)).wait().unwrap_err();
        assert_eq!(refused.into_apperr(), Some("nothing"));
    }
    // A router that has dropped all claims of a loop is no longer its client.
    drop(claims);
    assert!(thread.join().is_ok() && pool.join().is_ok() && task.join().is_ok());
}

#[test]
fn a_standby_replaces_an_ended_loop() {
    let router = Router::new();
    let spawn = || {
        ump_server::thread::Builder::new()
            .spawn_with(|_| Ok(Doubler))
            .unwrap()
    };
    let mut changes = router.subscribe::<Change>("**").unwrap();
    let mut heard = || {
        let change = changes.try_recv().unwrap().expect("something has changed");
        assert_eq!(change.topic(), "double/by/one");
        change.kind()
    };
    let options = ServeOptions::new();
    let (client, handle) = spawn();
    let first = router.serve_by("by/one", client, options).unwrap();
    assert_eq!(heard(), ChangeKind::Served);
    let begun = router.request("by/one", Double(1));
    handle.stopper().stop(Stop::Refuse);
    handle.join().unwrap();
    assert_eq!(heard(), ChangeKind::Unserved);
    assert!(!first.is_serving() && router.servers().is_empty());
    for request in [begun, router.request("by/one", Double(1))] {
        let error = request.wait().unwrap_err();
        assert!(matches!(error, RequestError::NoServer(Double(1))));
    }

    let (client, handle) = spawn();
    let second = router.serve_by("by/one", client, options).unwrap();
    let (client, standby) = spawn();
    let third = router
        .serve_by("by/one", client, options.standby())
        .unwrap();
    assert_eq!(
        (heard(), heard()),
        (ChangeKind::Served, ChangeKind::StandsBy)
    );
    handle.stopper().stop(Stop::Refuse);
    handle.join().unwrap();
    assert_eq!(
        (heard(), heard()),
        (ChangeKind::Unserved, ChangeKind::Served)
    );
    assert!(third.is_serving() && !second.is_serving());
    assert_eq!(router.request("by/one", Double(1)).wait().unwrap(), 2);
    drop((third, second));
    standby.join().unwrap();
}

#[test]
fn an_ended_server_claims_nothing() {
    let router = Router::new();
    let (server, client) = ump::channel::<Call<Double>, u64, &'static str>();
    drop(server);
    let claim = router.serve_by("a", client, ServeOptions::new()).unwrap();
    assert!(!claim.is_serving() && !claim.is_standing_by());
    let error = router.request("a", Double(1)).wait().unwrap_err();
    assert!(matches!(error, RequestError::NoServer(Double(1))));
}
