//! What the links are asked for.

use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Driver, LinkId, ListenerId,
    closing::{Waiting, tell_closed},
    dial::Target,
    peer::Peer,
    wake::Key,
};
use crate::link::sockets::{
    access::Rules,
    address::Address,
    carried::Carried,
    error::{LinkFailure, LinkSetupError},
    options::{ConnectOptions, ListenOptions},
    status::LinkStatus,
    watch::{StatePublisher, Watched},
};

pub(in super::super) enum Command {
    Carry(Carried),
    Listen(Address, Vec<SocketAddr>, ListenOptions),
    SetRules(ListenerId, Rules),
    StopListening(ListenerId),
    Connect(Address, Arc<str>, ConnectOptions),
    LastFailure(LinkId),
    Status(LinkId),
    /// The status of the links of a listener.
    Links(ListenerId),
    /// The status of all links.
    AllLinks,
    /// The addresses of the host of a link.
    Resolved(LinkId, Result<Vec<SocketAddr>, String>),
    /// Replies when the link is open.
    AwaitOpen(LinkId),
    CloseLink(LinkId),
    /// Closes a link, and replies when that is done.
    AwaitClosed(LinkId),
    /// Closes all listeners and links, and replies when that is done.
    AwaitAllClosed,
    /// Ends all links, and the loop.
    Shutdown,
}

pub(in super::super) enum Reply {
    Done,
    Listening(ListenerId, Address),
    Connecting(LinkId, Arc<Watched>),
    LastFailure(Option<LinkFailure>),
    Status(Box<LinkStatus>),
    Links(Vec<LinkStatus>),
}

impl Driver {
    /// Executes the commands that are queued. The next one wakes the loop.
    pub(super) fn execute_queued(&mut self) {
        let waker = self.shared.wakes.waker(Key::Commands);
        let mut cx = Context::from_waker(&waker);
        while !self.is_shut_down {
            // Without the budget of the task that runs this, if it is one.
            if let Ok(Some((command, reply))) = self.commands.try_pop() {
                self.execute(command, reply);
            } else if let Poll::Ready(Ok((command, reply))) = self.commands.poll_wait(&mut cx) {
                self.execute(command, reply);
            } else {
                return;
            }
        }
        // The loop may have to learn of it.
        self.commands.refuse();
        self.shared.wakes.wake_loop();
    }

    /// Returns whether the loop ends.
    pub(super) fn is_shut_down(&self) -> bool {
        self.is_shut_down
    }

    /// The loop ends. If it was not shut down, all links are lost.
    pub(super) fn end(&mut self) {
        self.commands.refuse();
        if std::mem::replace(&mut self.is_shut_down, true) {
            return;
        }
        self.listeners.close();
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.act(id, Peer::lose);
        }
    }

    fn execute(&mut self, command: Command, reply: Waiting) {
        let answer = match command {
            Command::Carry(carried) => {
                let is_for_messages = matches!(carried, Carried::Messages(_));
                self.shared.carry(carried);
                for peer in self.links.values_mut() {
                    peer.carried_more(&self.shared);
                }
                // What was retained before the type travelled.
                if is_for_messages {
                    self.feed_retained(self.shared.messages.len() - 1, true);
                }
                self.pump_all();
                Ok(Reply::Done)
            }
            Command::Listen(address, resolved, options) => {
                let id = ListenerId(self.next_id());
                self.listeners
                    .listen(&self.shared, id, (address, resolved), options)
            }
            Command::SetRules(id, rules) => {
                for link in self.listeners.set_rules(id, rules) {
                    let rules = self.listeners.rules(id);
                    self.relay.review(link);
                    if let Some(peer) = self.links.get_mut(&link) {
                        peer.replication.restart(&self.shared);
                    }
                    self.act(link, |peer, shared| peer.set_rules(shared, rules));
                }
                Ok(Reply::Done)
            }
            Command::Resolved(id, found) => {
                self.on_resolved(id, found);
                Ok(Reply::Done)
            }
            Command::StopListening(id) => {
                self.listeners.stop(id);
                Ok(Reply::Done)
            }
            Command::LastFailure(id) => {
                let peer = self.links.get(&id);
                Ok(Reply::LastFailure(peer.and_then(Peer::last_failure)))
            }
            Command::Status(id) => {
                let peer = self.links.get(&id).ok_or(LinkSetupError::Closed);
                peer.map(|peer| Reply::Status(Box::new(peer.status())))
            }
            Command::Links(id) => {
                let peers = self.listeners.links(id);
                let peers = peers.filter_map(|link| self.links.get(&link));
                Ok(Reply::Links(peers.map(Peer::status).collect()))
            }
            Command::AllLinks => {
                let peers = self.links.values();
                Ok(Reply::Links(peers.map(Peer::status).collect()))
            }
            Command::Connect(address, name, options) => {
                let id = LinkId(self.next_id());
                let state = StatePublisher::new();
                let watched = Arc::clone(state.watched());
                let target = Target::new(address, options);
                self.links.insert(id, Peer::kept(id, name, target, state));
                self.connect(id);
                self.publish_state(id);
                Ok(Reply::Connecting(id, watched))
            }
            Command::AwaitOpen(id) => match self.in_use(id) {
                Some(peer) => {
                    peer.await_open(reply);
                    return;
                }
                None => Err(LinkSetupError::Closed),
            },
            Command::CloseLink(id) => {
                self.close_link(id);
                Ok(Reply::Done)
            }
            Command::AwaitClosed(id) => {
                let caller = reply;
                match self.links.get_mut(&id) {
                    Some(peer) => peer.await_closed(caller),
                    None => tell_closed(caller, false),
                }
                self.close_link(id);
                return;
            }
            Command::AwaitAllClosed => {
                self.listeners.close();
                let links = self.links.keys().copied().collect();
                self.closers.push(reply, links);
                self.close_all();
                return;
            }
            Command::Shutdown => {
                self.close_all();
                self.is_shut_down = true;
                Ok(Reply::Done)
            }
        };
        let _ = reply.answer(answer); // an error if the caller is gone
    }
}
