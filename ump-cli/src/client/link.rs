//! The link to a hub: one loop over the socket, the inputs of other threads, and time.

use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};
use ump_router::link::{
    session::{Closed, Config, Event, Session},
    wire::{COMPRESSION, GoodbyeReason, Hello, Limits},
};

use super::{
    Known, Stream,
    outcome::{closed_error, refused_link, reopened_error},
};
use crate::exit::{Error, Exit};

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// How much is read at a time.
const READ: usize = 64 << 10;

/// How long the goodbye of the hub is waited for.
const LEAVE: Duration = Duration::from_millis(500);

/// A link whose hellos are exchanged. `I` is the type of the inputs of other threads.
#[derive(Debug)]
pub(crate) struct Link<I> {
    pub(crate) session: Session,
    pub(crate) known: Known,
    /// The hello of the hub. Until it has come, its highest version is 0.
    pub(crate) hello: Hello,
    /// The features that this end offers.
    features: u64,
    stream: Stream,
    is_readable: bool,
    is_writable: bool,
    is_at_end: bool,
    /// Why it is at its end, if it failed.
    failure: Option<String>,
    /// Bytes that the session has not taken yet.
    unread: Vec<u8>,
    poll: Poll,
    events: Events,
    inputs: Receiver<I>,
    sender: Sender<I>,
}

/// What [`Link::next`] returns.
#[derive(Debug)]
pub(crate) enum Step<I> {
    /// An event of the session that does not only tell of the hub.
    Event(Event),
    /// The hub has told something: [`Link::known`] has changed.
    Told,
    /// An input of another thread.
    Input(I),
    /// The deadline has passed.
    Deadline,
}

/// Sends inputs to the thread of the link.
#[derive(Debug)]
pub(crate) struct Sender<I> {
    inputs: mpsc::Sender<I>,
    waker: Arc<Waker>,
}

impl<I> Clone for Sender<I> {
    fn clone(&self) -> Self {
        let inputs = self.inputs.clone();
        let waker = Arc::clone(&self.waker);
        Self { inputs, waker }
    }
}

impl<I> Sender<I> {
    /// Returns whether the link still takes inputs.
    pub(crate) fn send(&self, input: I) -> bool {
        self.inputs.send(input).is_ok() && self.waker.wake().is_ok()
    }
}

impl<I> Link<I> {
    /// Exchanges the hellos, and offers these features.
    pub(crate) fn open(stream: Stream, features: u64, deadline: Instant) -> Result<Self, Error> {
        let failed = |error: io::Error| {
            let text = format!("cannot wait for the socket: {error}");
            Error::new(Exit::NotAllowed, text)
        };
        let mut stream = stream;
        let poll = Poll::new().map_err(failed)?;
        stream.register(poll.registry(), SOCKET).map_err(failed)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(failed)?;
        let (inputs, receiver) = mpsc::channel();
        let waker = Arc::new(waker);
        let mut link = Self {
            session: new_session(features),
            known: Known::default(),
            hello: no_hello(),
            features,
            stream,
            is_readable: true,
            is_writable: true,
            is_at_end: false,
            failure: None,
            unread: Vec::new(),
            poll,
            events: Events::with_capacity(8),
            inputs: receiver,
            sender: Sender { inputs, waker },
        };
        loop {
            let step = link.step(Some(deadline));
            // Until the hello, the end of the link means that there is none.
            match step.map_err(|closed| refused_link(&closed, link.failure.as_deref()))? {
                Step::Event(Event::Opened { .. }) => return Ok(link),
                Step::Deadline => {
                    let text = "the server accepts the connection and says nothing";
                    return Err(Error::new(Exit::NotAllowed, text));
                }
                Step::Event(_) | Step::Told | Step::Input(_) => {}
            }
        }
    }

    /// Begins anew on another connection. That the hub has said hello is an event, then. The
    /// senders stay.
    pub(crate) fn reopen(&mut self, mut stream: Stream) -> Result<(), Error> {
        let registered = stream.register(self.poll.registry(), SOCKET);
        registered.map_err(|error| {
            let text = format!("cannot wait for the socket: {error}");
            Error::new(Exit::NotAllowed, text)
        })?;
        self.stream = stream;
        self.session = new_session(self.features);
        self.known = Known::default();
        self.hello = no_hello();
        (self.is_readable, self.is_writable, self.is_at_end) = (true, true, false);
        self.failure = None;
        self.unread.clear();
        Ok(())
    }

    /// Does nothing more with a connection that is over. What other threads send still comes.
    pub(crate) fn abandon(&mut self) {
        self.session.disconnected(Instant::now());
        self.is_at_end = true;
        self.unread.clear();
    }

    /// Returns whether both ends offer compression.
    pub(crate) fn is_compressed(&self) -> bool {
        self.features & self.hello.features & COMPRESSION != 0
    }

    /// Waits until the hub has told all that it has.
    pub(crate) fn sync(&mut self, deadline: Instant) -> Result<(), Error> {
        // Tell that this end has nothing, before anything else.
        self.session.synced()?;
        while !self.known.is_synced {
            if let Step::Deadline = self.next(Some(deadline))? {
                let text = "the server has not told its subscriptions in time";
                return Err(Error::new(Exit::TimedOut, text));
            }
        }
        Ok(())
    }

    pub(crate) fn sender(&self) -> Sender<I> {
        self.sender.clone()
    }

    /// Returns the next thing that happens.
    ///
    /// # Errors
    /// The link is over.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Result<Step<I>, Error> {
        self.step(deadline).map_err(|closed| {
            if self.hello.max_version > 0 {
                closed_error(&closed)
            } else {
                reopened_error(&closed, self.failure.as_deref())
            }
        })
    }

    /// Returns the next thing that happens without waiting for it.
    ///
    /// # Errors
    /// The link is over.
    pub(crate) fn try_next(&mut self) -> Result<Option<Step<I>>, Error> {
        self.wait(Some(Instant::now()));
        let step = self.turn().transpose();
        step.map_err(|closed| closed_error(&closed))
    }

    /// Waits until something may have happened, or until then.
    pub(crate) fn pause(&mut self, until: Instant) {
        let next = self.session.next_deadline();
        self.wait(Some(next.map_or(until, |next| next.min(until))));
    }

    fn step(&mut self, deadline: Option<Instant>) -> Result<Step<I>, Closed> {
        loop {
            // First, or a stream of events would hold it up.
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Step::Deadline);
            }
            if let Some(step) = self.turn() {
                return step;
            }
            let next = [deadline, self.session.next_deadline()];
            self.wait(next.into_iter().flatten().min());
        }
    }

    /// Reads and writes until something happens that the command has to know.
    fn turn(&mut self) -> Option<Result<Step<I>, Closed>> {
        loop {
            if let Some(step) = self.take_event() {
                return Some(step);
            }
            if let Ok(input) = self.inputs.try_recv() {
                return Some(Ok(Step::Input(input)));
            }
            self.session.tick(Instant::now());
            self.flush();
            if !self.read() {
                // Time makes events, too.
                return self.take_event();
            }
        }
    }

    fn take_event(&mut self) -> Option<Result<Step<I>, Closed>> {
        match self.session.poll_event()? {
            Event::Closed(closed) => {
                self.flush(); // the goodbye
                Some(Err(closed))
            }
            event => {
                if let Event::Opened { hello, .. } = &event {
                    self.hello = hello.clone();
                }
                let event = self.known.handle(&mut self.session, event);
                Some(Ok(event.map_or(Step::Told, Step::Event)))
            }
        }
    }

    /// Sends what is queued, says goodbye, and waits until the hub has read all.
    pub(crate) fn close(mut self, timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        self.session.close(Instant::now(), GoodbyeReason::Done, "");
        while !self.session.is_finished() {
            let now = Instant::now();
            while self.session.poll_event().is_some() {}
            if now >= deadline || self.is_at_end {
                let text = "the link ended before the server had read all";
                return Err(Error::new(Exit::Lost, text));
            }
            self.session.tick(now);
            self.flush();
            if !self.session.is_finished() && !self.read() {
                let next = self.session.next_deadline();
                self.wait(Some(next.map_or(deadline, |next| next.min(deadline))));
            }
        }
        Ok(())
    }

    /// Says goodbye. It does not matter whether the hub hears it.
    pub(crate) fn leave(self) {
        let _ = self.close(LEAVE);
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) {
        let now = Instant::now();
        if let Err(error) = self.stream.flush() {
            self.write_failed(&error);
        }
        while self.is_writable {
            let bytes = self.session.transmit(now);
            if bytes.is_empty() {
                break;
            }
            match self.stream.write(bytes) {
                Ok(count) => self.session.sent(now, count),
                Err(error) => self.write_failed(&error),
            }
        }
    }

    fn write_failed(&mut self, error: &io::Error) {
        match error.kind() {
            ErrorKind::WouldBlock => self.is_writable = false,
            ErrorKind::Interrupted => {}
            // What the hub said last may still be read: reading finds the end.
            _ => {
                self.is_writable = false;
                self.is_readable = true;
            }
        }
    }

    /// Reads once. Returns whether anything came.
    fn read(&mut self) -> bool {
        let now = Instant::now();
        if self.unread.is_empty() && self.is_readable && !self.is_at_end {
            let mut buffer = vec![0; READ];
            match self.stream.read(&mut buffer) {
                Ok(0) => self.is_at_end = true,
                Ok(count) => {
                    buffer.truncate(count);
                    self.unread = buffer;
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.is_readable = false,
                    ErrorKind::Interrupted => return true,
                    _ => {
                        self.is_at_end = true;
                        self.failure = Some(error.to_string());
                    }
                },
            }
        }
        if self.is_at_end && self.unread.is_empty() {
            if self.session.is_finished() {
                return false;
            }
            self.session.disconnected(now);
            return true;
        }
        if self.unread.is_empty() {
            return false;
        }
        let used = self.session.receive(now, &self.unread);
        self.unread.drain(..used);
        true
    }

    fn wait(&mut self, until: Option<Instant>) {
        let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
        if self.poll.poll(&mut self.events, timeout).is_err() {
            return; // interrupted by a signal
        }
        for event in &self.events {
            if event.token() == SOCKET {
                self.is_readable |= event.is_readable() || event.is_error();
                self.is_writable |= event.is_writable();
            }
        }
    }
}

fn new_session(features: u64) -> Session {
    let config = Config {
        features,
        name: format!("ump {}", env!("CARGO_PKG_VERSION")),
        ..Config::default()
    };
    Session::new(Instant::now(), config)
}

/// What stands in the place of a hello that has not come.
fn no_hello() -> Hello {
    Hello {
        min_version: 0,
        max_version: 0,
        features: 0,
        required: 0,
        limits: Limits::default(),
        router: 0,
        name: String::new(),
    }
}

impl<I> Drop for Link<I> {
    /// Says goodbye, also after an error, so that the hub tells nobody that messages may be
    /// missing.
    fn drop(&mut self) {
        self.session.close(Instant::now(), GoodbyeReason::Done, "");
        self.flush();
    }
}
