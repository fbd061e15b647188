//! xtra: an actor with an unbounded mailbox, called by `send`.

use tokio::task;
use xtra::{Actor, Address, Context, Handler, Mailbox};

use super::{AsyncClient, AsyncServer, Contender, Shape};
use crate::message::Message;

pub(crate) struct Xtra;

pub(crate) struct Server;

impl Actor for Server {
    type Stop = ();

    async fn stopped(self) {}
}

impl Handler<u64> for Server {
    type Return = u64;

    async fn handle(&mut self, message: u64, _context: &mut Context<Self>) -> u64 {
        message.answer()
    }
}

impl Contender<u64> for Xtra {
    type Client = Address<Server>;

    fn name() -> String {
        "xtra".into()
    }
}

impl AsyncClient<u64> for Xtra {
    async fn ask_async(client: &mut Self::Client, message: u64) -> u64 {
        client.send(message).await.expect("a reply")
    }
}

impl AsyncServer<u64> for Xtra {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let (client, mailbox) = Mailbox::unbounded();
        (client, tokio::spawn(xtra::run(mailbox, Server)))
    }
}
