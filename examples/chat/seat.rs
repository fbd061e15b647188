//! A user's seat in a room.
//!
//! ```text
//!  chat/lobby/*       what is said there is heard                                        a subscription
//!  seat/lobby/*       who comes and who leaves is seen                                   a subscription to the router's changes
//!  seat/lobby/alice   what alice is told, and nobody else     ┐ served by her keeper,    a claim
//!  seat/lobby         what the host is asked: who is there?   ┘ a loop on a thread       a claim, or one in line for it
//! ```
//!
//! The first in a room is its host. All others stand by, in the order in which they came: when the host leaves, the next in line is host, and
//! those who ask do not notice.

use std::{convert::Infallible, ops::ControlFlow, sync::mpsc};

use ump_router::{Call, Change, ChangeKind, Claim, RecvError, Router, ServeOptions, Subscription};
use ump_server::{JoinHandle, ReplyContext, thread};

use crate::{
    error::ChatError,
    guests::{self, Guests},
    hearing::{Heard, lines},
    name::{Name, user_of},
    protocol::{Answer, Ask, Line},
};

#[derive(Debug)]
pub(crate) struct Seat {
    user: Name,
    room: Name,
    lines: Subscription<Line>,
    comings: Subscription<Change>,
    told: mpsc::Receiver<(Name, String)>,
    host: Claim,
    /// What was last said about it.
    is_host: bool,
    own: Claim,
    keeper: JoinHandle<()>,
}

impl Seat {
    pub(crate) fn new(router: &Router, room: Name, user: Name) -> Result<Self, ChatError> {
        let (tell, told) = mpsc::channel();
        let keeper = Keeper {
            user: user.clone(),
            guests: Guests::new(router, &room)?,
            tell,
        };
        let (client, keeper) = thread::Builder::new()
            .name(room.of(&user))
            .spawn(|_| Ok(keeper))
            .map_err(|why| ChatError::Thread(why.to_string()))?;
        let own = router.serve_by(room.of(&user), client.clone(), ServeOptions::new())?;
        let in_line = ServeOptions::new().standby();
        let host = router.serve_by(room.as_str(), client, in_line)?;
        Ok(Self {
            lines: router.subscribe(format!("{room}/*"))?,
            comings: guests::comings(router, &room)?,
            told,
            is_host: host.is_serving(),
            host,
            own,
            keeper,
            user,
            room,
        })
    }

    pub(crate) fn room(&self) -> &Name {
        &self.room
    }

    pub(crate) fn is_host(&self) -> bool {
        self.is_host
    }

    pub(crate) fn lines(&self) -> &Subscription<Line> {
        &self.lines
    }

    /// Leaves the room: others see it, and the next in line is host.
    pub(crate) fn leave(self) {
        let Self {
            host, own, keeper, ..
        } = self;
        // First out of the list, then out of the line: the next host does not count on this one.
        drop(own);
        drop(host);
        // Nobody can ask it any more, so it ends. A panic has been told.
        let _ = keeper.join();
    }

    /// What has come here since it was last asked.
    pub(crate) fn hear(&mut self, heard: &mut Vec<Heard>) {
        let mut say = |what| heard.push(Heard::at(&self.room, what));
        loop {
            match self.comings.try_recv() {
                Ok(Some(change)) => match (change.kind(), user_of(change.topic())) {
                    (ChangeKind::Served, user) => say(format!("{user} comes in")),
                    (ChangeKind::Unserved, user) => say(format!("{user} leaves")),
                    _ => {}
                },
                Err(RecvError::Missed(changes)) => {
                    say(format!("missed {changes} comings and goings"));
                }
                Ok(None) | Err(_) => break,
            }
        }
        if !self.is_host && self.host.is_serving() {
            self.is_host = true;
            say(format!("{} is the host now", self.user));
        }
        for (from, text) in self.told.try_iter() {
            say(format!("{from} tells {}: {text}", self.user));
        }
        lines(&mut self.lines, &self.user, heard);
    }
}

/// Answers what is asked of a seat.
#[derive(Debug)]
struct Keeper {
    user: Name,
    guests: Guests,
    tell: mpsc::Sender<(Name, String)>,
}

impl thread::Handler<Call<Ask>, Answer, Infallible> for Keeper {
    fn proc_req(
        &mut self,
        call: Call<Ask>,
        rctx: ReplyContext<'_, Answer, Infallible>,
    ) -> ControlFlow<()> {
        let me = self.user.clone();
        let answer = match call.message {
            Ask::Who => Answer::There {
                says: me,
                users: self.guests.list(),
            },
            Ask::Tell { from, text } => {
                // Before it is answered, so that who asked can rely on it. An error is that the user leaves.
                let _ = self.tell.send((from, text));
                Answer::Told(me)
            }
        };
        // Perhaps nobody waits for it any more.
        let _ = rctx.reply(answer);
        ControlFlow::Continue(())
    }
}
