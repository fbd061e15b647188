//! kameo: an actor with an unbounded mailbox, called by `ask`.

use kameo::{
    actor::{Actor, ActorRef, PreparedActor},
    error::Infallible,
    mailbox,
    message::{Context, Message},
};
use tokio::task;

use super::{AsyncClient, AsyncServer, Contender, Shape};

pub(crate) struct Kameo;

pub(crate) struct Server;

impl Actor for Server {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(server: Self, _actor: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(server)
    }
}

impl Message<u64> for Server {
    type Reply = u64;

    async fn handle(&mut self, message: u64, _context: &mut Context<Self, u64>) -> u64 {
        crate::message::Message::answer(message)
    }
}

impl Contender<u64> for Kameo {
    type Client = ActorRef<Server>;

    fn name() -> String {
        "kameo".into()
    }
}

impl AsyncClient<u64> for Kameo {
    async fn ask_async(client: &mut Self::Client, message: u64) -> u64 {
        client.ask(message).await.expect("a reply")
    }
}

impl AsyncServer<u64> for Kameo {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let actor = PreparedActor::new(mailbox::unbounded());
        let client = actor.actor_ref().clone();
        let server = tokio::spawn(async {
            let _ = actor.run(Server).await;
        });
        (client, server)
    }
}
