//! What a line means.

use std::str::FromStr;

use ump_router::Pattern;

use crate::{error::ChatError, name::Name};

pub(crate) const HELP: &str = "\
/as NAME             who acts from now on; a name that is new comes in
/join ROOM           enter a room, or turn back to it
/leave [ROOM]        leave it, or the one that one is turned to
TEXT                 say something in that room
/all TEXT            say it in all rooms at once
/tell NAME TEXT      tell it to one user in that room, and to nobody else
/who [ROOM]          who is there? its host answers
/listen PATTERN      hear what is said elsewhere, too: kitchen/*, */alice, **
/ignore PATTERN      do not
/status              what there is on the router
/quit                the end
";

#[derive(Debug)]
pub(crate) enum Command {
    As(Name),
    Join(Name),
    Leave(Option<Name>),
    Say(String),
    All(String),
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

    /// The line is trimmed, and not empty.
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
            "/all" => Self::All(needed("a text")?.to_owned()),
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
            "/listen" => Self::Listen(needed("a pattern, as lobby/* or **")?.parse()?),
            "/ignore" => Self::Ignore(needed("a pattern")?.parse()?),
            "/status" => Self::Status,
            "/help" => Self::Help,
            "/quit" => Self::Quit,
            _ => return Err(ChatError::Unknown(command.to_owned())),
        })
    }
}

/// The first word, and what follows it.
fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}
