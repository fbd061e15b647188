//! Futures polled with wakers whose clone or drop panics: they can be polled again, and work.

use super::*;

type Polled<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A waker that panics at its next clone, if armed.
fn panicking_clone() -> Waker {
    Hook::on_clone(|| panic!("the clone is meant to panic"))
}

fn clone_panics(mut future: impl Future<Output = ()> + Unpin, event: impl FnOnce()) {
    let (first, counter) = (CountingWaker::new(), CountingWaker::new());
    let _ = caught(|| poll_by(&mut future, &panicking_clone()));
    assert!(poll_with(&mut future, &first).is_pending());
    let _ = caught(|| poll_by(&mut future, &panicking_clone()));
    assert!(poll_with(&mut future, &counter).is_pending());
    assert_eq!(first.wakers(), 0);
    event();
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut future, &counter).is_ready());
}

fn drop_panics(mut future: impl Future<Output = ()> + Unpin, event: impl FnOnce()) {
    let armed = Arc::new(AtomicBool::new(false));
    let fuse = Arc::clone(&armed);
    let waker = Hook::on_drop(move || {
        assert!(
            !fuse.swap(false, Ordering::SeqCst),
            "the drop is meant to panic"
        );
    });
    assert!(poll_by(&mut future, &waker).is_pending());
    armed.store(true, Ordering::SeqCst);
    let counter = CountingWaker::new();
    let _ = caught(|| poll_with(&mut future, &counter));
    armed.store(false, Ordering::SeqCst);
    drop(waker);
    assert!(poll_with(&mut future, &counter).is_pending());
    event();
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut future, &counter).is_ready());
}

macro_rules! futures {
    ($($name:ident: $with:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn can_be_polled_again_after_a_panicking_clone() {
                $with(&|future, event| clone_panics(future, event));
            }

            #[test]
            fn can_be_polled_again_after_a_panicking_drop() {
                $with(&|future, event| drop_panics(future, event));
            }
        }
    )*};
}

type Test<'t> = &'t dyn Fn(Polled<'_>, Box<dyn FnOnce() + '_>);

fn with_async_wait(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let mut requests = server.stream();
    let future = poll_fn(|cx| requests.poll_wait(cx).map(drop));
    test(
        Box::pin(future),
        Box::new(|| client.post(1).wait().unwrap()),
    );
}

fn with_poll_wait(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let future = poll_fn(|cx| server.poll_wait(cx).map(drop));
    test(
        Box::pin(future),
        Box::new(|| client.post(1).wait().unwrap()),
    );
}

fn with_post(test: Test<'_>) {
    let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
    client.post(1).wait().unwrap();
    let mut posting = client.post(2).into_future();
    let future = poll_fn(|cx| Pin::new(&mut posting).poll(cx).map(Result::unwrap));
    test(Box::pin(future), Box::new(|| drop(server.try_pop())));
}

fn with_submit(test: Test<'_>) {
    let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
    client.post(1).wait().unwrap();
    let mut submitting = client.request(2).submit().into_future();
    let future = poll_fn(|cx| Pin::new(&mut submitting).poll(cx).map(drop));
    test(Box::pin(future), Box::new(|| drop(server.try_pop())));
}

fn with_request(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let mut asking = client.request(2).timeout(LONG).into_future();
    let future = poll_fn(|cx| Pin::new(&mut asking).poll(cx).map(drop));
    let answer = || server.try_pop().unwrap().unwrap().1.reply(1).unwrap();
    test(Box::pin(future), Box::new(answer));
}

fn with_wait_reply(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let mut reply = client.req_async(1).unwrap();
    let future = poll_fn(|cx| Pin::new(&mut reply).poll(cx).map(drop));
    let answer = || server.try_pop().unwrap().unwrap().1.reply(1).unwrap();
    test(Box::pin(future), Box::new(answer));
}

fn with_cancelled(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.request(1).timeout(LONG).submit().wait().unwrap();
    let (_, mut rctx) = server.wait().unwrap();
    test(Box::pin(rctx.cancelled()), Box::new(|| drop(reply)));
}

fn with_gather(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let mut gather = Gather::new();
    gather.push(1, client.req_async(1).unwrap());
    let future = poll_fn(|cx| Pin::new(&mut gather).poll_next(cx).map(drop));
    let answer = || server.try_pop().unwrap().unwrap().1.reply(1).unwrap();
    test(Box::pin(future), Box::new(answer));
}

futures! {
    async_wait: with_async_wait;
    poll_wait: with_poll_wait;
    post: with_post;
    submit: with_submit;
    request: with_request;
    wait_reply: with_wait_reply;
    cancelled: with_cancelled;
    gather: with_gather;
}
