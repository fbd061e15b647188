//! Every future of the channel, waiting, and the event that ends its wait.

use super::*;

type Test<'t> = &'t dyn Fn(Polled<'_>, Event<'_>);

pub(crate) fn request(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let future = async { assert_eq!(client.request(1).await.unwrap(), 2) };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}

pub(crate) fn request_with_deadline(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let future = async { assert_eq!(client.request(1).timeout(LONG).await.unwrap(), 2) };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}

pub(crate) fn request_without_room(test: Test<'_>) {
    let (server, client) = full();
    let future = async {
        let outcome = client.request(1).timeout(LONG).await;
        assert!(matches!(outcome, Err(RequestError::ServerDisappeared(1))));
    };
    test(Box::pin(future), Box::new(|| drop(server)));
}

pub(crate) fn areq(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let future = async { assert_eq!(client.areq(1).await.unwrap(), 2) };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}

pub(crate) fn wait_reply(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let mut reply = client.req_async(1).unwrap();
    let future = async move { assert_eq!((&mut reply).await.unwrap(), 2) };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}

pub(crate) fn wait_reply_with_deadline(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.request(1).timeout(LONG).submit().wait().unwrap();
    let future = async { assert_eq!(reply.wait_async().await.unwrap(), 2) };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}

pub(crate) fn submit(test: Test<'_>) {
    let (server, client) = full();
    let future = async { drop(client.request(1).submit().await.unwrap()) };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}

pub(crate) fn submit_with_deadline(test: Test<'_>) {
    let (server, client) = full();
    let future = async { drop(client.request(1).timeout(LONG).submit().await.unwrap()) };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}

pub(crate) fn post(test: Test<'_>) {
    let (server, client) = full();
    let future = async { client.post(1).await.unwrap() };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}

pub(crate) fn urgent_post_with_deadline(test: Test<'_>) {
    let (server, client) = full();
    client.post(0).urgent().wait().unwrap();
    let future = async { client.post(1).urgent().timeout(LONG).await.unwrap() };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}

pub(crate) fn async_wait(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let future = async { assert_eq!(server.async_wait().await.unwrap().0, 7) };
    test(
        Box::pin(future),
        Box::new(|| client.post(7).wait().unwrap()),
    );
}

pub(crate) fn async_wait_for_the_last_client(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let future = async { assert!(server.async_wait().await.is_err()) };
    test(Box::pin(future), Box::new(|| drop(client)));
}

pub(crate) fn async_wait_many(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let future = async {
        let mut batch = Vec::new();
        assert_eq!(server.async_wait_many(&mut batch, 8).await.unwrap(), 1);
    };
    test(
        Box::pin(future),
        Box::new(|| client.post(7).wait().unwrap()),
    );
}

pub(crate) fn stream(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let future = async {
        let mut requests = server.stream();
        assert_eq!(next(&mut requests).await.unwrap().0, 7);
    };
    test(
        Box::pin(future),
        Box::new(|| client.post(7).wait().unwrap()),
    );
}

pub(crate) fn cancelled(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.req_async(1).unwrap();
    let (_, mut rctx) = server.wait().unwrap();
    let future = async move { rctx.cancelled().await };
    test(Box::pin(future), Box::new(|| drop(reply)));
}

pub(crate) fn cancelled_with_deadline(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.request(1).timeout(LONG).submit().wait().unwrap();
    let (_, mut rctx) = server.wait().unwrap();
    let future = async move { rctx.cancelled().await };
    test(Box::pin(future), Box::new(|| drop(reply)));
}

pub(crate) fn server_stream(test: Test<'_>) {
    let (mut server, client) = channel::<u32, u32, ()>();
    let future = async { assert_eq!(next(&mut server).await.unwrap().0, 7) };
    test(
        Box::pin(future),
        Box::new(|| client.post(7).wait().unwrap()),
    );
}

pub(crate) fn server_stream_for_the_last_client(test: Test<'_>) {
    let (mut server, client) = channel::<u32, u32, ()>();
    let future = async { assert!(next(&mut server).await.is_none()) };
    test(Box::pin(future), Box::new(|| drop(client)));
}

pub(crate) fn poll_wait(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let future = async {
        assert_eq!(poll_fn(|cx| server.poll_wait(cx)).await.unwrap().0, 7);
    };
    test(
        Box::pin(future),
        Box::new(|| client.post(7).wait().unwrap()),
    );
}

pub(crate) fn gather(test: Test<'_>) {
    let (server, client) = channel::<u32, u32, ()>();
    let mut gather = Gather::new();
    gather.push('a', client.req_async(1).unwrap());
    gather.push('b', client.req_async(2).unwrap());
    let future = async {
        assert_eq!(next(&mut gather).await.unwrap(), ('a', Ok(2)));
    };
    test(Box::pin(future), Box::new(|| answer_one(&server)));
}
