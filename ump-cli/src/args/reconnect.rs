//! What a command does when its link is lost.

use std::{
    hash::{BuildHasher, RandomState},
    thread,
    time::Duration,
};

use super::ServerArgs;
use crate::{
    client::{Link, Sender, Stream, connect},
    exit::{Error, Exit},
    output::note,
};

/// The first pause before the command connects again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to do when the link is lost.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct LossArgs {
    /// Ends with code 4 when the server or the link is lost, instead of connecting again
    #[arg(long)]
    once: bool,
}

/// Connects again when the link is lost.
#[derive(Debug)]
pub(crate) struct Reconnect {
    server: ServerArgs,
    loss: LossArgs,
    pause: Duration,
}

impl Reconnect {
    pub(crate) fn new(server: &ServerArgs, loss: LossArgs) -> Self {
        Self {
            server: server.clone(),
            loss,
            pause: FIRST_PAUSE,
        }
    }

    /// The link is over. Begins to connect again on another thread, which sends the connection.
    /// Returns the error if the command is to end.
    pub(crate) fn lost<I: Send + 'static>(
        &mut self,
        link: &mut Link<I>,
        error: Error,
        connected: fn(Stream) -> I,
    ) -> Result<(), Error> {
        if self.loss.once || error.exit != Exit::Lost {
            return Err(error);
        }
        link.abandon();
        note(&format!("{error}: connecting again"));
        let (server, pause, sender) = (self.server.clone(), self.pause, link.sender());
        self.pause = next(pause);
        let run = move || connect_again(&server, pause, &sender, connected);
        let thread = thread::Builder::new().name("connect".to_owned()).spawn(run);
        match thread {
            Ok(_) => Ok(()),
            Err(no_thread) => {
                let text = format!("{error}; no thread can connect again: {no_thread}");
                Err(Error::new(error.exit, text))
            }
        }
    }

    /// The server has accepted what the command wants.
    pub(crate) fn succeeded(&mut self) {
        self.pause = FIRST_PAUSE;
    }
}

fn next(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

/// Connects, as often as it takes. Part of each pause is random, so that those that have lost a
/// server do not come back at once.
fn connect_again<I>(
    server: &ServerArgs,
    mut pause: Duration,
    sender: &Sender<I>,
    connected: fn(Stream) -> I,
) {
    let mut last = String::new();
    loop {
        let jitter = u32::try_from(RandomState::new().hash_one(0) % 512).unwrap_or(0);
        thread::sleep(pause / 2 + pause * jitter / 1024);
        pause = next(pause);
        let security = server.security.security();
        let stream = security.and_then(|it| connect(&server.address, &it, server.deadline()));
        match stream {
            Ok(stream) => {
                sender.send(connected(stream));
                return;
            }
            Err(error) if error.text != last => {
                note(&error.text);
                last = error.text;
            }
            Err(_) => {}
        }
    }
}
