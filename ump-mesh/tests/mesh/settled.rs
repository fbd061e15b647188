//! Waiting until all participants have confirmed the subscriptions.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use ump::Clock;
use ump_mesh::{Settled, zenoh::Wait as _};

use crate::support::{LONG, Price, await_participants, domain, eventually, members, plain_session};

/// Says whether it was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

fn await_settled(settled: Settled<'_>) -> bool {
    let future = IntoFuture::into_future(settled);
    Clock::system().block_on(future, None).unwrap()
}

#[test]
fn settled_is_told_to_threads_and_tasks() {
    let domain = domain();
    let [one, two] = members(&domain);
    let prices = one.router.subscribe::<Price>("a").unwrap();
    assert!(one.mesh.settled(LONG).wait());
    assert!(await_settled(one.mesh.settled(LONG)));
    let more = one.router.subscribe::<Price>("b").unwrap();
    assert!(await_settled(one.mesh.settled(LONG)));

    // A participant that confirms nothing.
    let silent = || {
        let session = plain_session(&domain);
        let token = "@ump/1/p/2a/=silent/=here/7/1000";
        let token = session.liveliness().declare_token(token).wait().unwrap();
        await_participants(&one, 2);
        (session, token)
    };
    let stranger = silent();
    let soon = Duration::from_millis(50);
    assert!(!one.mesh.settled(soon).wait());
    assert!(!await_settled(one.mesh.settled(soon)));

    // It goes, and tasks that wait are woken.
    let is_woken = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&is_woken));
    let mut cx = Context::from_waker(&waker);
    let mut waiting = pin!(IntoFuture::into_future(one.mesh.settled(LONG)));
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    drop(stranger);
    eventually("the task is woken", || is_woken.0.load(Ordering::Acquire));
    await_participants(&one, 1);
    assert!(await_settled(one.mesh.settled(LONG)));

    // So are they when the subscriptions end that were not confirmed.
    let _stranger = silent();
    let is_woken = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&is_woken));
    let mut cx = Context::from_waker(&waker);
    let mut waiting = pin!(IntoFuture::into_future(one.mesh.settled(LONG)));
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    drop((prices, more));
    eventually("the task is woken", || is_woken.0.load(Ordering::Acquire));
    assert!(await_settled(one.mesh.settled(LONG)));
    drop(two);
}
