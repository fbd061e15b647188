//! A server beside `StreamExt`, which is in scope here: its methods do not hide those of the
//! channel's server.

use std::{future::IntoFuture, pin::Pin};

use futures_util::StreamExt;
use ump_router::{
    Router,
    ump::{Clock, Error},
};

use crate::{Double, counting_waker::poll_once};

#[test]
fn requests_are_received_beside_stream_ext() {
    let router = Router::new();
    let mut server = router.serve::<Double>("a").unwrap();
    let mut requests =
        [1, 2, 3, 4, 5].map(|number| router.request("a", Double(number)).into_future());
    for request in &mut requests {
        assert!(poll_once(Pin::new(request)).is_pending());
    }
    let awaited = Clock::system().block_on(
        async {
            let (first, _) = server.stream().next().await.unwrap();
            let (second, _) = server.async_wait().await.unwrap();
            let (third, _) = server.next().await.unwrap();
            [first, second, third].map(|call| call.message.0)
        },
        None,
    );
    assert_eq!(awaited, Some([1, 2, 3]));
    assert_eq!(server.wait().unwrap().0.message, Double(4));
    assert_eq!(server.iter().next().unwrap().0.message, Double(5));
    // A request that has not ended is a client.
    drop(requests);
    router.close();
    assert!((&server).into_iter().next().is_none());
    assert_eq!(server.try_pop().unwrap_err(), Error::ClientsDisappeared);
}
