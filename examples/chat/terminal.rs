//! A user whose terminal is a process of its own, and who chats with those of other processes.
//!
//! ```text
//!    chat --host unix:chat.sock --as alice        chat --on unix:chat.sock --as bob
//!    ┌───────────────────────────┐                ┌──────────────────────────┐
//!    │ a router, which listens   │◀──── link ─────│ a router, which connects │
//!    └───────────────────────────┘                └──────────────────────────┘
//! ```
//!
//! Each process has a router with one user. All that makes it a chat of several processes is in
//! [`open`]: the types that travel, and a link. Rooms, hosts, requests and changes are those of one
//! process.

use std::{
    io::{self, BufRead, IsTerminal},
    mem,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    task::{Wake, Waker},
    thread,
    time::Duration,
};

use cli::{log, print};
use ump_router::{
    Router,
    link::sockets::{Link, LinkState, Listener},
};

use crate::{
    args,
    command::Command,
    error::ChatError,
    incoming::Incoming,
    is_comment,
    membership::MemberRequest,
    name::{Name, user_of},
    protocol::Line,
    server::ChatServer,
};

/// How long the program waits for the hub before it says that there is none.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// The room to begin in.
const FIRST_ROOM: &str = "lobby";

/// Goes to the beginning of the line and erases it.
const ERASE_LINE: &str = "\r\x1b[K";

/// How long the last lines may take to the other processes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the terminal waits for.
enum Event {
    /// A line of the standard input, or why there is none.
    Input(Result<String, String>),
    /// The end of the standard input.
    InputEnded,
    /// The user may have received something.
    Woken,
    /// The link to the hub is open, or lost.
    Link { is_open: bool },
}

/// Makes an event of each wake-up.
struct WakeTerminal(Sender<Event>);

impl Wake for WakeTerminal {
    fn wake(self: Arc<Self>) {
        // An error if the terminal has ended.
        let _ = self.0.send(Event::Woken);
    }
}

/// The way to the other processes.
enum Place {
    Host(Listener),
    On(Link),
}

/// Lets the types of the chat travel, and listens or connects.
fn open(router: &Router, args: &args::Terminal) -> Result<Option<Place>, String> {
    let carried = router.carry::<Line>();
    let carried = carried.and_then(|()| router.carry_requests::<MemberRequest>());
    carried.map_err(|error| error.to_string())?;
    if let Some(address) = &args.host {
        let listener = router.listen(address);
        return Ok(Some(Place::Host(listener.map_err(|e| e.to_string())?)));
    }
    let Some(address) = &args.on else {
        return Ok(None);
    };
    let link = router.connect(address);
    Ok(Some(Place::On(link.map_err(|e| e.to_string())?)))
}

/// Chats until the standard input ends, if the arguments name other terminals. Returns whether all
/// commands succeeded.
pub(crate) fn run(args: &args::Terminal) -> Option<Result<bool, String>> {
    let name = args.name.as_ref()?;
    let router = Router::new();
    let place = open(&router, args).transpose()?;
    Some(place.and_then(|place| chat(&router, place, name, args.room.as_ref())))
}

fn chat(router: &Router, place: Place, name: &Name, room: Option<&Name>) -> Result<bool, String> {
    let (sender, events) = mpsc::channel();
    let waker = Waker::from(Arc::new(WakeTerminal(sender.clone())));
    let is_terminal = io::stdin().is_terminal();
    let mut terminal = Terminal {
        server: ChatServer::new(router.clone(), waker),
        place,
        is_alone: false,
        prompt: if is_terminal {
            format!("{name}> ")
        } else {
            String::new()
        },
        sender,
    };
    terminal.find_others();
    terminal.watch_link()?;
    let joined = terminal.join_first(name, room);
    let joined = joined.map_err(|error| error.to_string())?;
    terminal.show(joined, true)?;
    terminal.start_reader()?;
    let end = terminal.handle(&events);
    // So that the last lines reach the others.
    router.close_links().timeout(CLOSE_TIMEOUT).wait();
    end
}

struct Terminal {
    server: ChatServer,
    place: Place,
    /// The link to the hub was lost, as the user was told.
    is_alone: bool,
    /// What is printed before the input. Empty if the input is no terminal.
    prompt: String,
    sender: Sender<Event>,
}

impl Terminal {
    /// Says how others come here, or waits a moment for the link.
    fn find_others(&mut self) {
        match &self.place {
            Place::Host(listener) => {
                let address = listener.address();
                log!("others chat with you by: chat --on {address} --as NAME");
            }
            Place::On(link) if !link.opened().timeout(OPEN_TIMEOUT).wait() => {
                let address = link.name();
                let failure = link.last_failure();
                let reason = failure.map_or_else(|| "no answer".to_owned(), |why| why.to_string());
                log!("no link to {address} yet, trying on: {reason}");
                self.is_alone = true;
            }
            Place::On(_) => {}
        }
    }

    /// Joins the first room.
    fn join_first(&mut self, name: &Name, room: Option<&Name>) -> Result<String, ChatError> {
        let room = room.map_or_else(
            || FIRST_ROOM.parse().map_err(ChatError::from),
            |it| Ok(it.clone()),
        )?;
        self.server.perform(Command::As(name.clone()))?;
        self.server.perform(Command::Join(room))
    }

    fn start_reader(&self) -> Result<(), String> {
        let sender = self.sender.clone();
        let reader = move || {
            for line in io::stdin().lock().lines() {
                let line = line.map_err(|e| format!("cannot read the standard input: {e}"));
                if sender.send(Event::Input(line)).is_err() {
                    return;
                }
            }
            // An error if the terminal has ended.
            let _ = sender.send(Event::InputEnded);
        };
        let spawned = thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(reader);
        spawned
            .map(drop)
            .map_err(|e| format!("cannot start the thread of the input: {e}"))
    }

    /// Handles events until the input ends.
    fn handle(&mut self, events: &Receiver<Event>) -> Result<bool, String> {
        let mut all_succeeded = true;
        // The channel does not end before: the terminal has a sender.
        for event in events {
            match event {
                Event::Input(line) => match self.execute(line?.trim()) {
                    Ok(Some(output)) => self.show(output, true)?,
                    Ok(None) => break,
                    Err(error) => {
                        log!("error: {error}");
                        all_succeeded = false;
                        self.show(String::new(), true)?;
                    }
                },
                Event::InputEnded => break,
                Event::Woken => self.show(String::new(), false)?,
                Event::Link { is_open } => {
                    let text = self.on_link(is_open);
                    self.show(text, false)?;
                }
            }
        }
        Ok(all_succeeded)
    }

    /// Executes a line and returns its output; `None` means `/quit`.
    fn execute(&mut self, line: &str) -> Result<Option<String>, ChatError> {
        if is_comment(line) {
            return Ok(Some(String::new()));
        }
        match line.parse()? {
            Command::Quit => Ok(None),
            Command::As(_) => Err(ChatError::OneUser),
            command => self.server.perform(command).map(Some),
        }
    }

    /// Prints the output of a command, then what the user has received, then the prompt.
    fn show(&mut self, output: String, is_at_line_start: bool) -> Result<(), String> {
        let mut text = output;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut received = String::new();
        for (_, incoming) in self.server.receive() {
            match incoming {
                // That a link was lost is said once, and not for each subscription.
                Incoming::Interrupted { .. } => {}
                incoming => received += &in_terminal(&incoming),
            }
        }
        text += &received;
        if text.is_empty() && !is_at_line_start {
            return Ok(());
        }
        if !is_at_line_start && !self.prompt.is_empty() {
            text.insert_str(0, ERASE_LINE);
        }
        print(text + &self.prompt)
    }

    /// Returns what to say about the link to the hub, if that has changed.
    fn on_link(&mut self, is_open: bool) -> String {
        let Place::On(link) = &self.place else {
            return String::new();
        };
        match (mem::replace(&mut self.is_alone, !is_open), is_open) {
            (false, false) => format!("* lost the link to {}: trying again", link.name()),
            (true, true) => format!("* linked to {}", link.name()),
            _ => String::new(),
        }
    }

    /// Makes an event each time that the link to the hub is open, or lost.
    fn watch_link(&self) -> Result<(), String> {
        let Place::On(link) = &self.place else {
            return Ok(());
        };
        let (mut watch, sender) = (link.watch(), self.sender.clone());
        let watch = move || {
            while let Some(state) = watch.changed().wait() {
                let is_open = match state {
                    LinkState::Open { is_ready: true, .. } => true,
                    LinkState::Waiting { .. } => false,
                    _ => continue,
                };
                if sender.send(Event::Link { is_open }).is_err() {
                    return; // the terminal has ended
                }
            }
        };
        let spawned = thread::Builder::new().name("link".to_owned()).spawn(watch);
        spawned
            .map(drop)
            .map_err(|e| format!("cannot start the thread of the link: {e}"))
    }
}

/// Returns what has arrived, as a line of the terminal.
fn in_terminal(incoming: &Incoming) -> String {
    let source = incoming.source();
    let Incoming::Line { topic, text, .. } = incoming else {
        let source = source.strip_suffix("/*").unwrap_or(source);
        return format!("[{source}] {}\n", incoming.text());
    };
    let (room, user) = (topic.fragments().next().unwrap_or_default(), user_of(topic));
    match source.strip_suffix("/*") {
        Some(own) if own == room => format!("[{own}] {user}: {text}\n"),
        Some(own) if room == "*" && own != "*" => format!("[{own}] {user} to all: {text}\n"),
        _ => format!("[{source}] {topic}: {text}\n"),
    }
}
