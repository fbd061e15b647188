//! Traits of the public types, checked at compile time.

use super::*;

// ---- Send, Sync and Unpin, checked at compile time

/// `Send`, but neither `Sync` nor `Unpin`.
struct Awkward(
    #[expect(dead_code, reason = "what matters is its type")] Cell<u8>,
    PhantomPinned,
);

fn send_sync_unpin<T: Send + Sync + Unpin>() {}
fn send_unpin<T: Send + Unpin>() {}
fn is_send<T: Send>(_: &T) {}

#[test]
fn everything_can_be_sent_shared_and_moved() {
    send_sync_unpin::<Client<u8, u8, u8>>();
    send_sync_unpin::<WeakClient<u8, u8, u8>>();
    send_sync_unpin::<Server<u8, u8, u8>>();
    send_sync_unpin::<Iter<'_, u8, u8, u8>>();
    send_sync_unpin::<Requests<'_, u8, u8, u8>>();
    send_sync_unpin::<Request<'_, u8, u8, u8>>();
    send_sync_unpin::<RequestFuture<'_, u8, u8, u8>>();
    send_sync_unpin::<Submit<'_, u8, u8, u8>>();
    send_sync_unpin::<SubmitFuture<'_, u8, u8, u8>>();
    send_sync_unpin::<Post<'_, u8, u8, u8>>();
    send_sync_unpin::<PostFuture<'_, u8, u8, u8>>();
    send_sync_unpin::<Builder>();
    send_sync_unpin::<Clock>();
    send_sync_unpin::<ManualClock>();
    send_sync_unpin::<Sleep>();
    send_sync_unpin::<Wait>();
    send_sync_unpin::<Cycle>();
    send_sync_unpin::<WaitReply<u8, u8>>();
    send_sync_unpin::<WaitReply<u8, u8, RequestError<u8, u8>>>();
    send_sync_unpin::<Gather<u8, u8, u8>>();
    send_sync_unpin::<ReplyContext<u8, u8>>();
    send_sync_unpin::<Cancelled<'_, u8, u8>>();
    send_sync_unpin::<Error<u8>>();
    send_sync_unpin::<RequestError<u8, u8>>();
    send_sync_unpin::<SendError<u8>>();
    send_sync_unpin::<NoReply>();
    send_sync_unpin::<Executed>();
    send_sync_unpin::<Refused>();
    send_sync_unpin::<ZeroCapacity>();
    send_sync_unpin::<Stats>();
}

/// One end at a time owns a message: it need not be `Sync` for shared ends, nor `Unpin` for movable
/// futures.
#[test]
fn messages_and_replies_need_only_be_send() {
    send_sync_unpin::<Client<Awkward, Awkward, Awkward>>();
    send_sync_unpin::<WeakClient<Awkward, Awkward, Awkward>>();
    send_sync_unpin::<Server<Awkward, Awkward, Awkward>>();
    send_sync_unpin::<Iter<'_, Awkward, Awkward, Awkward>>();
    send_sync_unpin::<Requests<'_, Awkward, Awkward, Awkward>>();
    send_sync_unpin::<RequestFuture<'_, Awkward, Awkward, Awkward>>();
    send_sync_unpin::<SubmitFuture<'_, Awkward, Awkward, Awkward>>();
    send_sync_unpin::<PostFuture<'_, Awkward, Awkward, Awkward>>();
    send_sync_unpin::<WaitReply<Awkward, Awkward>>();
    send_sync_unpin::<WaitReply<Awkward, Awkward, RequestError<Awkward, Awkward>>>();
    send_sync_unpin::<ReplyContext<Awkward, Awkward>>();
    send_sync_unpin::<Cancelled<'_, Awkward, Awkward>>();
    send_unpin::<Gather<Awkward, Awkward, Awkward>>();
}

#[test]
fn futures_of_async_functions_can_be_sent() {
    let (server, client) = ump::channel::<Awkward, Awkward, Awkward>();
    let awkward = || Awkward(Cell::new(0), PhantomPinned);
    let mut batch = Vec::new();
    is_send(&client.areq(awkward()));
    is_send(&server.async_wait());
    is_send(&server.async_wait_many(&mut batch, 1));
    let reply = client.req_async(awkward()).ok().unwrap();
    is_send(&reply.wait_async());
}

/// Compiles only if `$type` is *not* `Send`: otherwise there are two ways to call `ambiguous`.
macro_rules! assert_not_send {
    ($($type:ty),+ $(,)?) => {$({
        trait Ambiguous<A> {
            fn ambiguous() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + Send> Ambiguous<u8> for T {}
        <$type as Ambiguous<_>>::ambiguous();
    })+};
}

/// A message that must stay on its thread keeps every handle there through which it could leave it.
/// The context of a request whose message was taken out cannot carry it anywhere, and the plain
/// `WaitReply` is made of messages that are `Send` only: `req_async` of an `Rc` does not compile,
/// since dropping its `WaitReply` elsewhere would drop the `Rc` there.
#[test]
fn types_of_one_thread_stay_on_it() {
    type Local = Rc<Cell<u32>>;
    assert_not_send!(
        Client<Local, (), ()>,
        WeakClient<Local, (), ()>,
        Server<Local, (), ()>,
        Iter<'_, Local, (), ()>,
        Requests<'_, Local, (), ()>,
        Request<'_, Local, (), ()>,
        RequestFuture<'_, Local, (), ()>,
        SubmitFuture<'_, Local, (), ()>,
        PostFuture<'_, Local, (), ()>,
        WaitReply<(), (), RequestError<Local, ()>>,
        // The same holds for replies and errors.
        Client<(), Local, ()>,
        Client<(), (), Local>,
        Server<(), Local, ()>,
        Server<(), (), Local>,
        WaitReply<Local, ()>,
        WaitReply<(), Local>,
        ReplyContext<Local, ()>,
        ReplyContext<(), Local>,
        Gather<u8, Local, ()>,
        Gather<Local, u8, ()>,
    );
    send_sync_unpin::<ReplyContext<u8, u8>>();
}

/// Within one thread such messages work like others, and their contexts may leave it.
#[test]
fn a_message_that_must_stay_on_its_thread_stays_there() {
    let message = Rc::new(Cell::new(0));
    let (server, client) = ump::channel::<Rc<Cell<u32>>, u32, ()>();
    let submit = || client.request(Rc::clone(&message)).submit().wait().unwrap();
    let take = || {
        let (message, rctx) = server.try_pop().unwrap().unwrap();
        message.set(message.get() + 1);
        rctx
    };
    let mut replied = submit();
    let answered = take();
    let mut abandoned = client.request(Rc::clone(&message)).into_future();
    assert!(poll_once(&mut abandoned).is_pending());
    let kept = take();
    drop(abandoned);
    client.post(Rc::clone(&message)).wait().unwrap();
    let posted = take();
    let queued = submit();
    let also_queued = submit();
    drop(also_queued);
    // All but the queued one were dropped here.
    assert_eq!(Rc::strong_count(&message), 2);
    assert_eq!(message.get(), 3);
    drop(server);
    thread::spawn(move || {
        answered.reply(7).unwrap();
        assert_eq!(kept.reply(8), Err(Error::OriginDisappeared));
        posted.reply(9).unwrap();
    })
    .join()
    .unwrap();
    assert!(matches!(
        poll_once(&mut replied),
        std::task::Poll::Ready(Ok(7))
    ));
    let back = queued.wait().unwrap_err().into_message().unwrap();
    assert!(Rc::ptr_eq(&back, &message));
    drop(back);
    drop(client);
    assert_eq!(Rc::strong_count(&message), 1);
}
