//! Parses commands.

use std::str::FromStr;

use ump_router::Pattern;

use crate::{error::ChatError, name::Name};

pub(crate) const HELP: &str = "\
/as NAME             act as this user from now on; a new name creates the user
/join ROOM           join a room, or switch to it
/leave [ROOM]        leave this room, or the current one
TEXT                 say something in the current room
/all TEXT            say something in all rooms
/tell NAME TEXT      send a message to one user in the current room
/who [ROOM]          list the users in a room; its host answers
/listen PATTERN      subscribe to other messages: kitchen/*, */alice, **
/ignore PATTERN      remove such a subscription
/status              list the servers and subscriptions of the router
/quit                end the program
";

#[derive(Debug)]
pub(crate) enum Command {
    As(Name),
    Join(Name),
    Leave(Option<Name>),
    Say(String),
    SayInAll(String),
    Tell(Name, String),
    Who(Option<Name>),
    Listen(Pattern),
    Ignore(Pattern),
    Status,
    Help,
    Quit,
}

impl FromStr for Command {
    type Err = ChatError;

    /// Parses a line that is trimmed and not empty.
    fn from_str(line: &str) -> Result<Self, ChatError> {
        if !line.starts_with('/') {
            return Ok(Self::Say(line.to_owned()));
        }
        let (command, rest) = split(line);
        let needed = |needs| match rest {
            "" => Err(ChatError::Incomplete {
                command: command.to_owned(),
                needs,
            }),
            rest => Ok(rest),
        };
        let optional = || Some(rest).filter(|rest| !rest.is_empty());
        Ok(match command {
            "/as" => Self::As(needed("a name")?.parse()?),
            "/join" => Self::Join(needed("a room")?.parse()?),
            "/leave" => Self::Leave(optional().map(str::parse).transpose()?),
            "/all" => Self::SayInAll(needed("a text")?.to_owned()),
            "/tell" => {
                let (name, text) = split(needed("a name and a text")?);
                let name = name.parse()?;
                if text.is_empty() {
                    let (command, needs) = (command.to_owned(), "a text");
                    return Err(ChatError::Incomplete { command, needs });
                }
                Self::Tell(name, text.to_owned())
            }
            "/who" => Self::Who(optional().map(str::parse).transpose()?),
            "/listen" => Self::Listen(needed("a pattern, such as lobby/* or **")?.parse()?),
            "/ignore" => Self::Ignore(needed("a pattern")?.parse()?),
            "/status" => Self::Status,
            "/help" => Self::Help,
            "/quit" => Self::Quit,
            _ => return Err(ChatError::UnknownCommand(command.to_owned())),
        })
    }
}

/// Splits a text into its first word and the rest.
fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}
