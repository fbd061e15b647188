//! A request without a server: one side owes the reply, the other waits for it.

use ump::{ReplyContext, RequestError, WaitReply};

/// A pending reply.
pub(crate) type Reply<R, E> = WaitReply<R, E, RequestError<(), E>>;

/// Creates the duty to reply, and the pending reply.
pub(crate) fn question<R, E>() -> (ReplyContext<R, E>, Reply<R, E>) {
    let (server, client) = ump::channel::<(), R, E>();
    let (Ok(reply), Ok(Some(((), duty)))) = (client.request(()).submit().wait(), server.try_pop())
    else {
        unreachable!("both ends of the channel exist")
    };
    (duty, reply)
}
