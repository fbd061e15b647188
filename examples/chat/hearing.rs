//! What comes to a user.

use ump_router::{RecvError, Subscription};

use crate::{
    name::{Name, user_of},
    protocol::Line,
};

#[derive(Debug)]
pub(crate) struct Heard {
    /// In which room, or by which pattern.
    pub(crate) by: String,
    pub(crate) what: String,
}

impl Heard {
    pub(crate) fn at(room: &Name, what: String) -> Self {
        let by = room.to_string();
        Self { by, what }
    }
}

/// What others have said since this was last called.
pub(crate) fn lines(lines: &mut Subscription<Line>, user: &Name, heard: &mut Vec<Heard>) {
    loop {
        let what = match lines.try_recv() {
            Ok(Some(line)) if user_of(line.topic()) == user.as_str() => continue,
            Ok(Some(line)) => format!("{}: {}", line.topic(), line.0),
            Err(RecvError::Missed(lines)) => format!("missed {lines} lines"),
            Ok(None) | Err(_) => return,
        };
        let by = lines.pattern().to_string();
        heard.push(Heard { by, what });
    }
}
