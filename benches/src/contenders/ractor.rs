//! ractor: an actor, called by `call`.

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, rpc::CallResult};
use tokio::task;

use super::{AsyncClient, AsyncServer, Contender, Shape};
use crate::message::Message;

pub(crate) struct Ractor;

pub(crate) struct Server;

pub(crate) struct Question(u64, RpcReplyPort<u64>);

impl Actor for Server {
    type Msg = Question;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _me: ActorRef<Question>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _me: ActorRef<Question>,
        Question(message, reply): Question,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let _ = reply.send(message.answer());
        Ok(())
    }
}

/// An actor of ractor outlives its references, so it has to be stopped.
#[derive(Clone)]
pub(crate) struct Client {
    actor: ActorRef<Question>,
    _last: std::sync::Arc<Stop>,
}

pub(crate) struct Stop(ActorRef<Question>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop(None);
    }
}

impl Contender<u64> for Ractor {
    type Client = Client;

    fn name() -> String {
        "ractor".into()
    }
}

impl AsyncClient<u64> for Ractor {
    async fn ask_async(client: &mut Self::Client, message: u64) -> u64 {
        match client
            .actor
            .call(|reply| Question(message, reply), None)
            .await
        {
            Ok(CallResult::Success(reply)) => reply,
            _ => panic!("no reply"),
        }
    }
}

impl AsyncServer<u64> for Ractor {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let (actor, server) = Server::spawn(None, Server, ()).await.expect("it starts");
        let last = std::sync::Arc::new(Stop(actor.clone()));
        (Client { actor, _last: last }, server)
    }
}
