//! A handler's bounded waits for a request that only this handler could answer.

use std::{ops::ControlFlow, sync::mpsc, time::Duration};

use ump_server::{
    Client, Refused, ReplyContext, Stop, WeakClient,
    thread::{Builder, Handler},
    ump::{Error, Gather, WaitReply},
};

const LONG: Duration = Duration::from_secs(60);

/// On zero, sends a one to its own server, and waits for the reply for a limited time.
struct Asks {
    own: Option<WeakClient<u32, u32, Refused>>,
    later: mpsc::Sender<WaitReply<u32, Refused>>,
}

impl Handler<u32, u32, Refused> for Asks {
    fn init(&mut self, own: WeakClient<u32, u32, Refused>) {
        self.own = Some(own);
    }

    fn proc_req(&mut self, n: u32, rctx: ReplyContext<'_, u32, Refused>) -> ControlFlow<()> {
        if n == 0 {
            let own: Client<_, _, _> = self.own.as_ref().unwrap().upgrade().unwrap();
            let reply = own.req_async(1).unwrap();
            match reply.wait_timeout(Duration::from_millis(1)) {
                Err(reply) => self.later.send(reply).unwrap(),
                Ok(ended) => panic!("it ended: {ended:?}"),
            }
        }
        let _ = rctx.reply(n + 1);
        ControlFlow::Continue(())
    }
}

#[test]
fn the_request_goes_on_after_a_bounded_wait() {
    let (sender, later) = mpsc::channel();
    let (client, handle) = Builder::new()
        .spawn(|_| {
            let (own, later) = (None, sender);
            Ok(Asks { own, later })
        })
        .unwrap();
    assert_eq!(client.req(0), Ok(1));
    let reply = later.recv_timeout(LONG).unwrap();
    let answered: Result<u32, Error<Refused>> = reply.wait();
    assert_eq!(answered, Ok(2));
    handle.stopper().stop(Stop::Refuse);
}

type Replies = Gather<u32, u32, Refused>;

/// On zero, sends two requests to its own server, and gathers the replies for a limited time.
struct Gathers {
    own: Option<WeakClient<u32, u32, Refused>>,
    later: mpsc::Sender<Replies>,
}

impl Handler<u32, u32, Refused> for Gathers {
    fn init(&mut self, own: WeakClient<u32, u32, Refused>) {
        self.own = Some(own);
    }

    fn proc_req(&mut self, n: u32, rctx: ReplyContext<'_, u32, Refused>) -> ControlFlow<()> {
        if n == 0 {
            let own: Client<_, _, _> = self.own.as_ref().unwrap().upgrade().unwrap();
            let mut replies = Replies::new();
            for n in [1, 2] {
                replies.push(n, own.req_async(n).unwrap());
            }
            let early = replies.wait_timeout(Duration::from_millis(1));
            assert!(early.is_none(), "one ended: {early:?}");
            self.later.send(replies).unwrap();
        }
        let _ = rctx.reply(n + 1);
        ControlFlow::Continue(())
    }
}

#[test]
fn gathered_requests_go_on_after_a_bounded_wait() {
    let (sender, later) = mpsc::channel();
    let build = |_: &_| {
        Ok(Gathers {
            own: None,
            later: sender,
        })
    };
    let (client, handle) = Builder::new().spawn(build).unwrap();
    assert_eq!(client.req(0), Ok(1));
    let mut replies = later.recv_timeout(LONG).unwrap();
    for n in [1, 2] {
        assert_eq!(replies.wait_timeout(LONG), Some((n, Ok(n + 1))));
    }
    drop(client);
    handle.join().unwrap();
}
