//! All users, on one router: does what a line says, then tells what everybody has noticed of it.
//!
//! What is published is in the subscribers' queues when publishing returns, and what is asked is done when the answer is there. So each line is over,
//! and all that it causes is told, before the next one is read: the same lines have the same transcript.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use ump_router::{Pattern, RequestError, Router};

use crate::{
    command::{Command, HELP},
    error::ChatError,
    name::Name,
    protocol::{Answer, Ask, Line},
    user::User,
};

/// For whoever is asked.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct House {
    router: Router,
    users: Vec<User>,
    /// Who acts, in `users`.
    actor: Option<usize>,
}

impl House {
    /// Who acts, if anybody does.
    pub(crate) fn actor(&self) -> Option<&Name> {
        self.actor.map(|actor| self.users[actor].name())
    }

    /// Does it, and says what came of it. It is not for this to quit.
    pub(crate) fn obey(&mut self, command: Command) -> Result<String, ChatError> {
        let said = self.act(command)?;
        let mut text = String::new();
        let mut say =
            |line: fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes all");
        for line in said.lines() {
            say(format_args!("  {line}"));
        }
        for user in &mut self.users {
            for heard in user.hear() {
                let name = user.name().as_str();
                say(format_args!(
                    "    {name:<6} {:<10} {}",
                    heard.by, heard.what
                ));
            }
        }
        Ok(text)
    }

    fn act(&mut self, command: Command) -> Result<String, ChatError> {
        let router = self.router.clone();
        match command {
            Command::As(name) => {
                self.turn_to(name);
                Ok(String::new())
            }
            Command::Join(room) => self.user_mut()?.join(&router, room),
            Command::Leave(room) => self.user_mut()?.leave(room),
            Command::Listen(pattern) => self.user_mut()?.listen(&router, &pattern),
            Command::Ignore(pattern) => self.user_mut()?.ignore(&pattern),
            Command::Say(text) => {
                let user = self.user()?;
                self.publish(&user.room()?.of(user.name()), text)
            }
            Command::All(text) => self.publish(&format!("*/{}", self.user()?.name()), text),
            Command::Tell(name, text) => {
                let (room, from) = (self.user()?.room()?.clone(), self.user()?.name().clone());
                self.ask(&room.of(&name), Ask::Tell { from, text })
            }
            Command::Who(Some(room)) => self.ask(room.as_str(), Ask::Who),
            Command::Who(None) => self.ask(self.user()?.room()?.as_str(), Ask::Who),
            Command::Status => Ok(self.status()),
            Command::Help | Command::Quit => Ok(HELP.to_owned()),
        }
    }

    fn turn_to(&mut self, name: Name) {
        let known = self.users.iter().position(|user| *user.name() == name);
        self.actor = known.or_else(|| {
            self.users.push(User::new(name));
            Some(self.users.len() - 1)
        });
    }

    fn user(&self) -> Result<&User, ChatError> {
        let actor = self.actor.ok_or(ChatError::Nobody)?;
        Ok(&self.users[actor])
    }

    fn user_mut(&mut self) -> Result<&mut User, ChatError> {
        let actor = self.actor.ok_or(ChatError::Nobody)?;
        Ok(&mut self.users[actor])
    }

    fn publish(&self, topic: &str, text: String) -> Result<String, ChatError> {
        let topic: Pattern = topic.parse()?;
        let published = self.router.publish(&topic, Line(text)).wait();
        let published = published.map_err(|unsent| unsent.error)?;
        // Who speaks is not told what was said.
        let others = published.matched - self.user()?.ears(&topic);
        Ok(match others {
            0 => "nobody else hears it".to_owned(),
            _ => String::new(),
        })
    }

    fn ask(&self, topic: &str, ask: Ask) -> Result<String, ChatError> {
        match self.router.request(topic, ask).timeout(PATIENCE).wait() {
            Ok(Answer::There { says, users }) => {
                Ok(format!("{says} answers: {}", users.join(", ")))
            }
            Ok(Answer::Told(name)) => Ok(format!("{name} has heard it")),
            Err(RequestError::NoServer(_)) => Ok(format!("nobody is at {topic}")),
            Err(error) => Err(ChatError::Asking(error)),
        }
    }

    /// What there is on the router, in order.
    fn status(&self) -> String {
        let mut servers = self.router.servers();
        // Those of one topic come in line.
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
        subscriptions.sort_by(|one, other| one.pattern.cmp(&other.pattern));
        let patterns = subscriptions.iter();
        lines.extend(patterns.map(|status| format!("subscription {}", status.pattern)));
        lines.join("\n")
    }
}
