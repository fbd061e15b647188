//! Handlers by associated types, and handlers in the published shape, by the same methods.

#![cfg(feature = "tokio")]

use std::{num::NonZeroUsize, ops::ControlFlow, time::Duration};

use ump_server::{
    Context, Error, OnPanic, Refused, ReplyContext, Restart, TestClock,
    system::{Attributes, System},
    task, thread,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Counts what it is sent and the hours; ends at zero with the sum.
struct Counter(u64);

#[derive(Clone)]
struct Hour;

impl thread::Service for Counter {
    type Request = u64;
    type Reply = u64;
    type Error = Refused;
    type Output = u64;
    type Timer = Hour;

    fn init(&mut self, cx: &Context<u64, u64, Refused, Hour>) {
        assert!(cx.weak_client().upgrade().is_some());
    }

    fn handle(&mut self, n: u64, reply: ReplyContext<u64, Refused>) -> ControlFlow<u64> {
        assert_ne!(n, 13, "out of luck");
        if n == 0 {
            return ControlFlow::Break(self.0);
        }
        self.0 += n;
        let _ = reply.reply(self.0);
        ControlFlow::Continue(())
    }

    fn kind(&self, _: &u64) -> &'static str {
        "add"
    }

    fn on_timer(&mut self, Hour: Hour) -> ControlFlow<u64> {
        self.0 += 100;
        ControlFlow::Continue(())
    }

    fn term(&mut self, sum: Option<u64>) -> Option<u64> {
        sum.map(|sum| sum + 1)
    }
}

impl task::Service for Counter {
    type Request = u64;
    type Reply = u64;
    type Error = Refused;
    type Output = u64;
    type Timer = Hour;

    async fn handle(&mut self, n: u64, reply: ReplyContext<'_, u64, Refused>) -> ControlFlow<u64> {
        tokio::task::yield_now().await;
        thread::Service::handle(self, n, reply)
    }

    async fn on_timer(&mut self, hour: Hour) -> ControlFlow<u64> {
        thread::Service::on_timer(self, hour)
    }

    async fn term(&mut self, sum: Option<u64>) -> Option<u64> {
        thread::Service::term(self, sum)
    }
}

/// The published shape.
struct Published(u64);

impl thread::Handler<u64, u64, Refused, u64, Hour> for Published {
    fn proc_req(&mut self, n: u64, reply: ReplyContext<u64, Refused>) -> ControlFlow<u64> {
        self.0 += n;
        let _ = reply.reply(self.0);
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, Hour: Hour) -> ControlFlow<u64> {
        self.0 += 100;
        ControlFlow::Continue(())
    }
}

#[test]
fn a_service_on_a_thread_has_timers_and_restarts() {
    let clock = TestClock::new();
    let (client, handle) = thread::Builder::new()
        .test_clock(&clock)
        .on_panic(OnPanic::Restart(Restart::new()))
        .spawn_with(|cx| {
            cx.timers().every(HOUR, Hour);
            Ok(Counter(cx.restarts()))
        })
        .unwrap();
    assert_eq!(client.req(2), Ok(2));
    clock.advance(HOUR);
    assert_eq!(client.req(1), Ok(103));
    assert_eq!(client.req(13), Err(Error::NoReply));
    clock.advance(HOUR / 2);
    assert_eq!(client.req(1), Ok(2), "it was made anew");
    assert!(client.req(0).is_err());
    assert_eq!(handle.join(), Ok(Some(3)));
}

#[tokio::test]
async fn a_service_on_a_task_has_the_same() {
    let (client, handle) = task::Builder::new()
        .spawn_with(|cx| {
            cx.timers().once(Duration::ZERO, Hour);
            Ok(Counter(0))
        })
        .unwrap();
    assert!(matches!(client.areq(2).await, Ok(2 | 102)));
    assert!(client.areq(0).await.is_err());
    assert!(matches!(handle.await, Ok(Some(3 | 103))));
}

#[test]
fn a_published_handler_needs_no_annotation_either() {
    let clock = TestClock::new();
    let (client, _) = thread::Builder::new()
        .test_clock(&clock)
        .spawn_with(|cx| {
            cx.timers().every(HOUR, Hour);
            Ok(Published(0))
        })
        .unwrap();
    clock.advance(HOUR);
    assert_eq!(client.req(1), Ok(101));
}

#[test]
fn pools_and_systems_take_services() {
    let two = NonZeroUsize::new(2).unwrap();
    let (client, _) = thread::Builder::new()
        .spawn_pool(two, |_| Ok(Counter(0)))
        .unwrap();
    assert!(client.req(1).is_ok());
    let system = System::builder()
        .thread("counter", Attributes::new(), |_| Ok(Counter(0)))
        .thread("again", Attributes::new().needs("counter"), |cx| {
            let counter = cx.client::<u64, u64, Refused>("counter")?;
            Ok(thread::answer(move |n: u64| counter.req(n).map_err(drop)))
        })
        .start(HOUR)
        .wait()
        .unwrap();
    let again = system.client::<u64, u64, ()>("again").unwrap();
    assert_eq!(again.req(3), Ok(3));
}

#[test]
fn a_closure_is_served_without_annotations() {
    let (client, handle) = thread::serve(|n: u64, reply: ReplyContext<u64, ()>| {
        let _ = reply.reply(n + 1);
        ControlFlow::<()>::Continue(())
    });
    assert_eq!(client.req(1), Ok(2));
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}

#[tokio::test]
async fn a_task_is_served_without_annotations() {
    let (client, handle) = task::serve(task::reply(async |n: u64| n + 1));
    assert_eq!(client.areq(1).await, Ok(2));
    drop(client);
    assert_eq!(handle.await, Ok(None));
}
