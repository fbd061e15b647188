//! The chat server: all users, on one router. Executes a command, then returns what each user
//! receives.
//!
//! A published message is in the subscribers' queues when `publish` returns, and a request has been
//! handled when its reply is there. So all effects of a command are visible before the next one is
//! read, and the same commands have the same transcript.

use std::{
    convert::Infallible,
    fmt::{self, Write},
    task::{Context, Waker},
    time::Duration,
};

use ump_router::{Pattern, RequestError, Router};

use crate::{
    command::{Command, HELP},
    error::ChatError,
    incoming::Incoming,
    membership::{MemberList, MemberTell},
    name::Name,
    protocol::Line,
    user::User,
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct ChatServer {
    router: Router,
    users: Vec<User>,
    /// The index of the current user in `users`.
    current: Option<usize>,
    /// Wakes the reader of what users receive.
    waker: Waker,
}

impl ChatServer {
    /// A chat on a router. The waker is woken when there is something to [receive](Self::receive).
    pub(crate) fn new(router: Router, waker: Waker) -> Self {
        Self {
            router,
            users: Vec::new(),
            current: None,
            waker,
        }
    }

    /// Returns the name of the current user.
    pub(crate) fn current_user(&self) -> Option<&Name> {
        self.current.map(|current| self.users[current].name())
    }

    /// Executes a command, and returns its output and what all users receive, as text. `Quit` is up
    /// to the caller.
    pub(crate) fn execute(&mut self, command: Command) -> Result<String, ChatError> {
        let output = self.perform(command)?;
        let mut text = String::new();
        let mut write =
            |line: fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes all");
        for line in output.lines() {
            write(format_args!("  {line}"));
        }
        for (name, incoming) in self.receive() {
            let (name, source) = (name.as_str(), incoming.source());
            write(format_args!(
                "    {name:<6} {source:<10} {}",
                incoming.text()
            ));
        }
        Ok(text)
    }

    /// Returns what all users have received.
    pub(crate) fn receive(&mut self) -> Vec<(Name, Incoming)> {
        let mut cx = Context::from_waker(&self.waker);
        let users = self.users.iter_mut();
        let all = users.flat_map(|user| {
            let received = user.receive(&mut cx).into_iter();
            let name = user.name().clone();
            received.map(move |incoming| (name.clone(), incoming))
        });
        all.collect()
    }

    /// Executes a command, and returns its output. `Quit` is up to the caller.
    pub(crate) fn perform(&mut self, command: Command) -> Result<String, ChatError> {
        let router = self.router.clone();
        match command {
            Command::As(name) => {
                self.switch_to(name);
                Ok(String::new())
            }
            Command::Join(room) => {
                let waker = self.waker.clone();
                self.user_mut()?.join(&router, room, &waker)
            }
            Command::Leave(room) => self.user_mut()?.leave(room),
            Command::Listen(pattern) => self.user_mut()?.listen(&router, &pattern),
            Command::Ignore(pattern) => self.user_mut()?.ignore(&pattern),
            Command::Say(text) => {
                let user = self.user()?;
                self.publish(&user.room()?.topic_of(user.name()), text)
            }
            Command::SayInAll(text) => self.publish(&format!("*/{}", self.user()?.name()), text),
            Command::Tell(name, text) => {
                let (room, from) = (self.user()?.room()?.clone(), self.user()?.name().clone());
                let topic = room.topic_of(&name);
                let told = self.router.ask(&topic, MemberTell { from, text });
                let told = told.timeout(REQUEST_TIMEOUT).wait();
                answer(&topic, told, |()| format!("delivered to {name}"))
            }
            Command::Who(room) => {
                let room = room.map_or_else(|| self.user()?.room().cloned(), Ok)?;
                let listed = self.router.ask(room.as_str(), MemberList);
                let listed = listed.timeout(REQUEST_TIMEOUT).wait();
                answer(room.as_str(), listed, |(host, members)| {
                    format!("{host} answers: {}", members.join(", "))
                })
            }
            Command::Status => Ok(self.status()),
            Command::Help | Command::Quit => Ok(HELP.to_owned()),
        }
    }

    fn switch_to(&mut self, name: Name) {
        let known = self.users.iter().position(|user| *user.name() == name);
        self.current = known.or_else(|| {
            self.users.push(User::new(name));
            Some(self.users.len() - 1)
        });
    }

    fn user(&self) -> Result<&User, ChatError> {
        let current = self.current.ok_or(ChatError::NoCurrentUser)?;
        Ok(&self.users[current])
    }

    fn user_mut(&mut self) -> Result<&mut User, ChatError> {
        let current = self.current.ok_or(ChatError::NoCurrentUser)?;
        Ok(&mut self.users[current])
    }

    fn publish(&self, topic: &str, text: String) -> Result<String, ChatError> {
        let topic: Pattern = topic.parse()?;
        let published = self.router.publish(&topic, Line(text)).wait();
        let published = published.map_err(|unsent| unsent.error)?;
        // A user's own subscriptions do not count as receivers.
        let others = published.matched - self.user()?.count_subscriptions(&topic);
        Ok(match others {
            0 => "nobody else hears it".to_owned(),
            _ => String::new(),
        })
    }

    /// Lists the servers and subscriptions of the router, sorted.
    fn status(&self) -> String {
        let mut servers = self.router.servers();
        // A stable sort: the standbys of a topic stay in their order.
        servers.sort_by(|one, other| one.topic.cmp(&other.topic));
        let mut lines: Vec<_> = servers
            .iter()
            .map(|server| {
                let role = if server.is_standby {
                    "standby"
                } else {
                    "server"
                };
                format!("{role:<12} {}", server.topic)
            })
            .collect();
        let mut subscriptions = self.router.subscriptions();
        subscriptions.sort_by(|one, other| one.patterns.cmp(&other.patterns));
        let patterns = subscriptions.iter();
        lines.extend(patterns.map(|status| format!("subscription {}", status.patterns[0])));
        lines.join("\n")
    }
}

/// Returns what the member at a topic has answered, as text.
fn answer<T, M>(
    topic: &str,
    outcome: Result<T, RequestError<M, Infallible>>,
    to_text: impl FnOnce(T) -> String,
) -> Result<String, ChatError> {
    match outcome {
        Ok(reply) => Ok(to_text(reply)),
        Err(RequestError::NoServer(_)) => Ok(format!("nobody is at {topic}")),
        Err(error) => Err(error.without_message().into()),
    }
}
