//! The session with one neighbour: the state machine of RFC 4271, 8, as a sans-IO task.
//!
//! ```text
//!             retry timer         stream open          OPEN               KEEPALIVE
//!      active ──────────▶ connect ──────────▶ open-sent ────▶ open-confirm ────────▶ established
//!       ▲  ▲                │                    │               │                       │
//!       │  └────────────────┴────────────────────┘               │                       │
//!       │        refused, closed, retry timer                    ▼                       ▼
//!       └─────────────────────────────────────────────────────  idle  ◀── error, notification, hold timer,
//!                         after a pause that doubles                       closed, stopped
//! ```
//!
//! A connection of the neighbour goes from any state but idle to open-sent. So there may be two
//! connections: one that each side has begun. Of two that have received an OPEN, the one begun by
//! the speaker with the higher identifier stays (RFC 4271, 6.8); an established one always stays.
//!
//! Invariants: a connection has an open stream, or one that is being opened; when the session drops
//! a connection, it closes the stream, unless that is closed already. At most one connection is
//! established. `Up` and `Down` alternate.
//!
//! Unlike in RFC 4271, a refused connect leads to active rather than to idle, so that the neighbour
//! can connect meanwhile. (The old RFC 1771 and most implementations do so.)

mod config;
mod connection;
mod handshake;
mod timing;
mod updates;

use std::{
    borrow::Cow,
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use ump_server::sans_io::{
    ConnectionId, Input, Io, Output, Shutdown, StreamConnect, StreamInput, StreamOutput, Streams,
    Task, Unused,
};

use self::{
    connection::{Connection, Stream},
    timing::{Backoff, Random},
};
use super::codec::{Code, Message, Notification};

pub(crate) use self::config::{Command, Config, Counters, End, Event, State, Up};

#[derive(Debug)]
pub(crate) struct Session {
    config: Config,
    mode: Mode,
    /// At most one for each direction.
    connections: Vec<Connection>,
    /// When it connects, or gives up an attempt to. `None` if a stream is open.
    retry: Option<Instant>,
    backoff: Backoff,
    random: Random,
    outputs: VecDeque<Output<<Self as Task>::Io>>,
    /// The state that was reported last.
    reported: State,
    counters: Counters,
    last_end: Option<End>,
    /// The token of the latest attempt to connect.
    last_token: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Stopped,
    /// Pauses after a failure.
    Pausing {
        until: Instant,
    },
    Running,
}

impl Session {
    /// Creates a session, which starts.
    pub(crate) fn new(config: Config, now: Instant) -> Self {
        let (first, longest) = config.pauses;
        let mut session = Self {
            mode: Mode::Stopped,
            connections: Vec::new(),
            retry: None,
            backoff: Backoff::new(first, longest),
            random: Random::new(config.seed),
            outputs: VecDeque::new(),
            reported: State::Idle,
            counters: Counters::default(),
            last_end: None,
            last_token: 0,
            config,
        };
        session.start(now);
        session
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn state(&self) -> State {
        let connections = self.connections.iter().map(|connection| connection.state);
        match self.mode {
            Mode::Running => connections.max().unwrap_or(State::Active),
            Mode::Stopped | Mode::Pausing { .. } => State::Idle,
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns why the session has ended the last time.
    pub(crate) fn last_end(&self) -> Option<&End> {
        self.last_end.as_ref()
    }

    /// Returns what the neighbours have agreed on, and since when the session is established.
    pub(crate) fn up(&self) -> Option<(Up, Instant)> {
        let connection = self.established()?;
        Some((connection.up()?, connection.established?))
    }

    fn established(&self) -> Option<&Connection> {
        let mut connections = self.connections.iter();
        connections.find(|connection| connection.state == State::Established)
    }

    fn start(&mut self, now: Instant) {
        self.mode = Mode::Running;
        self.retry = None;
        if !self.config.is_passive {
            self.connect(now);
        }
        self.report_state();
    }

    fn connect(&mut self, now: Instant) {
        self.last_token += 1;
        let stream = Stream::Connecting(self.last_token);
        let connection = Connection::new(stream, true, &self.config);
        self.connections.push(connection);
        self.counters.attempts += 1;
        let time = self.set_retry(now);
        let connect = StreamConnect::new(self.last_token, self.config.peer).timeout(time);
        self.act(StreamOutput::Connect(connect));
    }

    /// Starts the retry timer. Returns its time.
    fn set_retry(&mut self, now: Instant) -> Duration {
        let time = self.random.jitter(self.config.connect_retry);
        self.retry = Some(now + time);
        time
    }

    /// Ends all connections, and does not begin new ones.
    fn stop(&mut self, now: Instant, notification: &Notification) {
        while let Some(connection) = self.connections.last() {
            self.end(now, connection.stream, End::Sent(notification.clone()));
        }
        self.mode = Mode::Stopped;
        self.retry = None;
        self.backoff.reset();
    }

    fn act(&mut self, output: StreamOutput) {
        self.outputs.push_back(Output::Net(output));
    }

    fn send(&mut self, stream: Stream, message: &Message) {
        self.send_bytes(stream, message.encode());
    }

    /// Sends an encoded message.
    fn send_bytes(&mut self, stream: Stream, message: Vec<u8>) {
        if let Stream::Open(connection) = stream {
            self.counters.messages_out += 1;
            self.act(StreamOutput::send(connection, message));
        }
    }

    fn close(&mut self, stream: Stream) {
        // A stream that is being opened is closed when it is open.
        if let Stream::Open(connection) = stream {
            self.act(StreamOutput::Close { connection });
        }
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::App(event));
    }

    fn report_state(&mut self) {
        let state = self.state();
        if state != self.reported {
            self.reported = state;
            self.tell(Event::State(state));
        }
    }

    fn find(&mut self, stream: Stream) -> Option<&mut Connection> {
        let mut connections = self.connections.iter_mut();
        connections.find(|connection| connection.stream == stream)
    }

    /// Ends a connection. If it was the only one, the session goes on as its state says.
    fn end(&mut self, now: Instant, stream: Stream, end: End) {
        let place = self.connections.iter().position(|it| it.stream == stream);
        let Some(place) = place else {
            return;
        };
        let connection = self.connections.swap_remove(place);
        let was = connection.state;
        match &end {
            End::Sent(notification) => {
                self.send(stream, &Message::Notification(notification.clone()));
                self.close(stream);
            }
            End::Received(_) => self.close(stream),
            End::Closed(_) => {}
        }
        let is_closed = matches!(end, End::Closed(_));
        // If a connection was in vain, the reason why the session before ended is worth more.
        let is_worth_showing = match &end {
            End::Sent(it) | End::Received(it) => it.code != Code::COLLISION,
            End::Closed(_) => connection.established.is_some(),
        };
        if is_worth_showing || self.last_end.is_none() {
            self.last_end = Some(end.clone());
        }
        if let Some(since) = connection.established {
            self.counters.downs += 1;
            self.backoff.lasted(now - since);
            self.tell(Event::Down(end));
        } else if was > State::Connect {
            self.tell(Event::Failed(end));
        }
        if !self.connections.is_empty() {
            return;
        }
        match was {
            State::Connect => {
                // It does not run if a stream of the neighbour was open.
                if self.retry.is_none() {
                    self.set_retry(now);
                }
            }
            State::OpenSent if is_closed => {
                self.set_retry(now);
            }
            _ => {
                let pause = self.backoff.pause();
                let until = now + self.random.jitter(pause);
                self.mode = Mode::Pausing { until };
                self.retry = None;
            }
        }
    }

    /// Ends a connection with a notification.
    fn reject(&mut self, now: Instant, stream: Stream, why: impl Into<Notification>) {
        self.end(now, stream, End::Sent(why.into()));
    }

    fn on_stream(&mut self, now: Instant, input: StreamInput<'_>) {
        match input {
            StreamInput::Opened {
                connection,
                origin,
                local,
                ..
            } => {
                // It is unknown only of a stream that has failed meanwhile.
                let local = local.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |it| it.ip());
                self.on_opened(now, connection, origin, local.to_canonical());
            }
            StreamInput::ConnectFailed { token, error, .. } => {
                let end = End::Closed(error.to_string());
                self.end(now, Stream::Connecting(token), end);
            }
            StreamInput::Data { connection, bytes } => {
                self.on_data(now, Stream::Open(connection), &bytes);
            }
            StreamInput::HalfClosed { connection } => {
                let stream = Stream::Open(connection);
                if self.find(stream).is_some() {
                    self.close(stream);
                    let end = End::Closed("closed by the neighbour".to_owned());
                    self.end(now, stream, end);
                }
            }
            StreamInput::Blocked { connection, .. } => self.on_room(connection, Event::Blocked),
            StreamInput::Writable { connection } => self.on_room(connection, Event::Writable),
            StreamInput::Closed {
                connection, reason, ..
            } => {
                let end = End::Closed(reason.to_string());
                self.end(now, Stream::Open(connection), end);
            }
            _ => {}
        }
    }

    fn on_data(&mut self, now: Instant, stream: Stream, bytes: &[u8]) {
        let Some(connection) = self.find(stream) else {
            return;
        };
        connection.decoder.push(bytes);
        while let Some(connection) = self.find(stream) {
            match connection.decoder.next(connection.format) {
                Ok(Some(message)) => self.on_message(now, stream, message),
                Ok(None) => break,
                Err(notification) => self.reject(now, stream, notification),
            }
        }
    }

    /// Reports whether the neighbour reads as fast as the speaker sends routes.
    fn on_room(&mut self, connection: ConnectionId, event: Event) {
        let established = self.established().map(|it| it.stream);
        if established == Some(Stream::Open(connection)) {
            self.tell(event);
        }
    }

    fn on_message(&mut self, now: Instant, stream: Stream, message: Message) {
        self.counters.messages_in += 1;
        let Some(connection) = self.find(stream) else {
            return;
        };
        let state = connection.state;
        match (state, message) {
            (_, Message::Notification(notification)) => {
                self.end(now, stream, End::Received(notification));
            }
            (State::OpenSent, Message::Open(open)) => self.on_open(now, stream, open),
            (State::OpenConfirm, Message::Keepalive) => {
                connection.heard(now);
                self.establish(now, stream);
            }
            (State::Established, Message::Keepalive) => connection.heard(now),
            (State::Established, Message::Update(update)) => {
                connection.heard(now);
                self.on_update(update);
            }
            (State::Established, Message::RouteRefresh(family)) => {
                let families = connection.families;
                if let Some(family) = family.filter(|&family| families.contains(family)) {
                    self.tell(Event::Refresh(family));
                }
            }
            (State::OpenSent, _) => self.reject(now, stream, Code::UNEXPECTED_IN_OPEN_SENT),
            (State::OpenConfirm, _) => self.reject(now, stream, Code::UNEXPECTED_IN_OPEN_CONFIRM),
            _ => self.reject(now, stream, Code::UNEXPECTED_IN_ESTABLISHED),
        }
    }

    fn send_keepalive(&mut self, now: Instant, stream: Stream) {
        self.send(stream, &Message::Keepalive);
        self.delay_keepalive(now, stream);
    }

    /// Restarts the timer of KEEPALIVEs.
    fn delay_keepalive(&mut self, now: Instant, stream: Stream) {
        let mut random = self.random.clone();
        if let Some(connection) = self.find(stream) {
            let time = connection.keepalive_time();
            connection.keepalive = time.map(|time| now + random.jitter(time));
        }
        self.random = random;
    }

    fn on_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Start if self.mode == Mode::Running => {}
            Command::Start => self.start(now),
            Command::Stop(code) => self.stop(now, &code.into()),
            Command::Reset(code) => {
                if let Some(stream) = self.established().map(|it| it.stream) {
                    self.reject(now, stream, code);
                }
            }
            Command::Refresh(family) => {
                let up = self.up();
                let can =
                    up.is_some_and(|(up, _)| up.route_refresh && up.families.contains(family));
                if let Some(stream) = self.established().map(|it| it.stream).filter(|_| can) {
                    self.send(stream, &Message::RouteRefresh(Some(family)));
                }
            }
            Command::Announce {
                attributes,
                next_hop,
                prefixes,
            } => self.announce(now, &attributes, next_hop, &prefixes),
            Command::Withdraw(prefixes) => self.withdraw(now, &prefixes),
            Command::EndOfRib(family) => self.end_of_rib(now, family),
        }
    }
}

impl Task for Session {
    type Io = Io<Command, Event, Unused, Unused, Streams>;

    fn on_tick(&mut self, now: Instant) {
        if matches!(self.mode, Mode::Pausing { until } if until <= now) {
            self.start(now);
        }
        let streams: Vec<_> = self.connections.iter().map(|it| it.stream).collect();
        for stream in streams {
            let Some(connection) = self.find(stream) else {
                continue;
            };
            let is_due = connection.keepalive.is_some_and(|due| due <= now);
            if connection.is_silent(now) {
                self.reject(now, stream, Code::HOLD_TIMER_EXPIRED);
            } else if is_due {
                self.send_keepalive(now, stream);
            }
        }
        if self.mode == Mode::Running && self.retry.is_some_and(|retry| retry <= now) {
            let connecting = self
                .connections
                .iter()
                .find(|it| it.state == State::Connect);
            if let Some(stream) = connecting.map(|it| it.stream) {
                self.end(now, stream, End::Closed("the connect timed out".into()));
            }
            if self.config.is_passive {
                self.retry = None;
            } else {
                self.connect(now);
            }
        }
        self.report_state();
    }

    fn on_input(&mut self, now: Instant, input: Input<'_, Self::Io>) {
        match input {
            Input::Net(input) => self.on_stream(now, input),
            Input::App(command) => self.on_command(now, command),
        }
        self.report_state();
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let pause = match self.mode {
            Mode::Pausing { until } => Some(until),
            Mode::Running | Mode::Stopped => None,
        };
        let connections = self.connections.iter();
        let connections = connections.filter_map(Connection::next_deadline);
        connections.chain(pause).chain(self.retry).min()
    }

    fn on_shutdown(&mut self, now: Instant) -> Shutdown {
        self.stop(now, &Code::SHUTDOWN.into());
        self.report_state();
        Shutdown::Ready
    }

    fn name(&self) -> Cow<'static, str> {
        format!("bgp {}", self.config.peer.ip()).into()
    }
}
