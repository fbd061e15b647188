//! A claim is made under the lock of the topics, where nothing is woken.

use std::{
    future::{Future as _, IntoFuture as _},
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
};

use ump_router::{
    Call, Error, Router, ServeOptions,
    ump::{channel, coop},
};

use super::{Double, LONG, double, serve_all};

/// Runs it on a thread, and returns what it returns, unless it blocks for ever.
fn unblocked<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || done.send(run()));
    outcome.recv_timeout(LONG).expect("it does not block")
}

/// A task that has had many results without waiting yields at its next future. The router polls
/// one to learn when a server ends, and its waker must not be woken for that.
#[test]
fn a_task_that_has_spent_its_budget_may_serve() {
    let router = Router::new();
    let servers = unblocked({
        let router = router.clone();
        move || {
            let serve = |number| router.serve::<Double>(format!("budget/{number}")).unwrap();
            coop::with_budget(0, || (0..100).map(serve).collect::<Vec<_>>())
        }
    });
    let mut cx = Context::from_waker(Waker::noop());
    for (number, server) in servers.iter().enumerate() {
        assert!(server.is_serving());
        let topic = format!("budget/{number}");
        let mut request = pin!(router.request(&*topic, Double(1)).into_future());
        assert!(request.as_mut().poll(&mut cx).is_pending());
        assert_eq!(serve_all(server), [topic]);
        assert_eq!(
            request.poll(&mut cx).map(Result::ok),
            Poll::Ready(double(1).ok())
        );
    }
}

/// Looks at all servers when it is woken.
struct Looks(Router, Mutex<usize>);

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        *self.1.lock().unwrap() += self.0.servers().len();
    }
}

#[test]
fn a_client_that_is_refused_may_wake_its_server() {
    let router = Router::new();
    let _first = router.serve::<Double>("refused").unwrap();
    let (server, client) = channel::<Call<Double>, u64, &'static str>();
    let looks = Arc::new(Looks(router.clone(), Mutex::new(0)));
    let waker = Waker::from(Arc::clone(&looks));
    let mut cx = Context::from_waker(&waker);
    assert!(server.poll_wait(&mut cx).is_pending());
    let refused = unblocked(move || {
        let options = ServeOptions::new();
        router.serve_by::<Double>("refused", client, options)
    });
    assert!(matches!(refused, Err(Error::Taken(_))));
    let looked = *looks.1.lock().unwrap();
    assert_eq!(
        looked, 1,
        "its last client is gone, and one topic is served"
    );
}
