//! actix: an actor, called by `send`. It lives on one thread, in a `LocalSet`, so it is in the
//! cases of one executor thread only.

use actix::{Actor, Addr, Context, Handler, MessageResult};
use tokio::task;

use super::{AsyncClient, AsyncServer, Contender, Shape};
use crate::message::Message;

pub(crate) struct Actix;

pub(crate) struct Server {
    _alive: tokio::sync::oneshot::Sender<()>,
}

impl Actor for Server {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(usize::MAX >> 1);
    }
}

pub(crate) struct Question(u64);

impl actix::Message for Question {
    type Result = u64;
}

impl Handler<Question> for Server {
    type Result = MessageResult<Question>;

    fn handle(&mut self, message: Question, _context: &mut Self::Context) -> Self::Result {
        MessageResult(message.0.answer())
    }
}

impl Contender<u64> for Actix {
    type Client = Addr<Server>;

    fn name() -> String {
        "actix".into()
    }
}

impl AsyncClient<u64> for Actix {
    async fn ask_async(client: &mut Self::Client, message: u64) -> u64 {
        client.send(Question(message)).await.expect("a reply")
    }
}

impl AsyncServer<u64> for Actix {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let (alive, gone) = tokio::sync::oneshot::channel();
        let client = Server { _alive: alive }.start();
        let server = tokio::spawn(async {
            let _ = gone.await;
        });
        (client, server)
    }
}
