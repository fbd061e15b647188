//! Uses only the interface that the published crates have as well: see `docs/migration.md`.

use std::{ops::ControlFlow, thread};

use ump_server::{async_trait, spawn_task, spawn_thread, AsyncHandler, ReplyContext, ThreadedHandler, WeakClient};

struct Square;

impl ThreadedHandler<u32, u32, String, u32> for Square {
    fn proc_req(&mut self, msg: u32, rctx: ReplyContext<u32, String>) -> ControlFlow<u32, ()> {
        match msg.checked_mul(msg) {
            Some(0) => return ControlFlow::Break(42),
            Some(square) => drop(rctx.reply(square)),
            None => drop(rctx.fail(format!("{msg} is too large"))),
        }
        ControlFlow::Continue(())
    }
}

struct Ask {
    square: ump::Client<u32, u32, String>,
    weak: Option<WeakClient<u32, u32, String>>,
}

#[async_trait]
impl AsyncHandler<u32, u32, String, ()> for Ask {
    fn init(&mut self, weak_client: WeakClient<u32, u32, String>) {
        self.weak = Some(weak_client);
    }

    async fn proc_req(&mut self, msg: u32, rctx: ReplyContext<u32, String>) -> ControlFlow<(), ()> {
        match self.square.areq(msg).await {
            Ok(square) => drop(rctx.reply(square + 1)),
            Err(error) => drop(rctx.fail(error.into_apperr().unwrap_or_default())),
        }
        ControlFlow::Continue(())
    }

    fn term(&mut self, rv: Option<()>) -> Option<()> {
        rv.or(self.weak.take().map(drop))
    }
}

#[tokio::main]
async fn main() {
    let (server, client) = ump::channel::<&str, String, ()>();
    let greeter = thread::spawn(move || {
        let (name, rctx) = server.wait().unwrap();
        rctx.reply(format!("Hello, {name}!")).unwrap();
    });
    assert_eq!(client.req("client").unwrap(), "Hello, client!");
    greeter.join().unwrap();

    let (square, square_join) = spawn_thread(|_| Ok(Square)).unwrap();
    let (ask, ask_join) = spawn_task(|_| Ok(Ask { square: square.clone(), weak: None })).unwrap();
    assert_eq!(ask.areq(12).await.unwrap(), 145);
    assert_eq!(ask.areq(u32::MAX).await.unwrap_err().unwrap_apperr(), "4294967295 is too large");
    drop(ask);
    assert_eq!(ask_join.await.unwrap(), Some(()));
    assert!(square.req(0).is_err());
    assert_eq!(square_join.join().unwrap(), Some(42));
    println!("patched: all as published");
}
