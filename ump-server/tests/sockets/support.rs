//! A loop whose requests are closures, and a handler that echoes.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream as StdTcpStream},
    ops::ControlFlow,
    sync::mpsc::{self, Receiver, Sender},
    time::Duration,
};

use ump_server::{
    Client, Context, JoinHandle, Refused, ReplyContext,
    net::{Event, SocketId, SocketMap, Sockets, TcpListener, TcpStream},
    thread::{Builder, Service},
};

/// How long a test waits for something that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// The state of a loop under test.
pub(crate) trait World: Sized + Send + 'static {
    fn on_socket(&mut self, event: Event);

    fn on_timer(&mut self, _timer: u32) {}
}

/// A closure that the loop runs on its state.
pub(crate) type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

/// The handler: runs closures.
pub(crate) struct Host<W>(pub(crate) W);

impl<W: World> Service for Host<W> {
    type Request = Job<W>;
    type Reply = ();
    type Error = Refused;
    type Output = ();
    type Timer = u32;

    fn handle(&mut self, job: Job<W>, reply: ReplyContext<'_, (), Refused>) -> ControlFlow<()> {
        job(&mut self.0);
        let _ = reply.reply(());
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, timer: u32) -> ControlFlow<()> {
        self.0.on_timer(timer);
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        self.0.on_socket(event);
        ControlFlow::Continue(())
    }
}

#[cfg(feature = "tokio-net")]
impl<W: World> ump_server::task::Service for Host<W> {
    type Request = Job<W>;
    type Reply = ();
    type Error = Refused;
    type Output = ();
    type Timer = u32;

    async fn handle(
        &mut self,
        job: Job<W>,
        reply: ReplyContext<'_, (), Refused>,
    ) -> ControlFlow<()> {
        Service::handle(self, job, reply)
    }

    async fn on_timer(&mut self, timer: u32) -> ControlFlow<()> {
        Service::on_timer(self, timer)
    }

    async fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        Service::on_socket(self, event)
    }
}

/// A loop under test.
pub(crate) struct Loop<W> {
    pub(crate) client: Client<Job<W>, (), Refused>,
    pub(crate) handle: JoinHandle<()>,
}

pub(crate) type Cx<W> = Context<Job<W>, (), Refused, u32>;

impl<W: World> Loop<W> {
    /// Spawns it on a thread; on a task if `SOCKETS_ON_TASKS` is set.
    pub(crate) fn spawn(make: impl FnMut(&Cx<W>) -> W + Send + 'static) -> Self {
        #[cfg(feature = "tokio-net")]
        if std::env::var_os("SOCKETS_ON_TASKS").is_some() {
            return Self::spawn_on(runtime(), make);
        }
        Self::spawn_by(Builder::new().name("under-test"), make)
    }

    pub(crate) fn spawn_by(
        builder: Builder,
        mut make: impl FnMut(&Cx<W>) -> W + Send + 'static,
    ) -> Self {
        let made = builder.spawn_with(move |cx| Ok(Host(make(cx))));
        let (client, handle) = made.expect("the handler is made");
        Self { client, handle }
    }

    /// Spawns it on a task.
    #[cfg(feature = "tokio-net")]
    pub(crate) fn spawn_on(
        runtime: &tokio::runtime::Handle,
        mut make: impl FnMut(&Cx<W>) -> W + Send + 'static,
    ) -> Self {
        let builder = ump_server::task::Builder::new().name("under-test");
        let builder = builder.runtime(runtime.clone());
        let made = builder.spawn_with(move |cx: &Cx<W>| Ok(Host(make(cx))));
        let (client, handle) = made.expect("the handler is made");
        Self { client, handle }
    }

    /// Runs a closure in the loop, and returns its result.
    pub(crate) fn with<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut W) -> R + Send + 'static,
    ) -> R {
        let (send, result) = mpsc::channel();
        let job: Job<W> = Box::new(move |world| send.send(f(world)).expect("it is awaited"));
        self.client.req(job).expect("the loop is alive");
        result.recv().expect("the closure was run")
    }

    /// Ends the loop, and waits for its end.
    pub(crate) fn end(self) {
        drop(self.client);
        self.handle.join().expect("no panic");
    }
}

/// Makes what all loops share, before a test counts its descriptors.
fn prepare() {
    #[cfg(feature = "tokio-net")]
    if std::env::var_os("SOCKETS_ON_TASKS").is_some() {
        runtime();
    }
}

/// Returns a runtime for all loops on tasks that are tested as those on threads are.
#[cfg(feature = "tokio-net")]
pub(crate) fn runtime() -> &'static tokio::runtime::Handle {
    static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> = std::sync::LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_io().build().unwrap()
    });
    RUNTIME.handle()
}

/// Waits until a condition of the loop's state holds.
pub(crate) fn eventually<W: World>(
    of: &Loop<W>,
    what: &str,
    holds: impl FnMut(&mut W) -> bool + Clone + Send + 'static,
) {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let mut holds_now = holds.clone();
        if of.with(move |world| holds_now(world)) {
            return;
        }
        assert!(
            std::time::Instant::now() < until,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A connection of [`Echo`].
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) unsent: Vec<u8>,
    pub(crate) is_ended: bool,
}

/// Sends back whatever comes, with back-pressure.
pub(crate) struct Echo {
    pub(crate) listener: TcpListener,
    pub(crate) connections: SocketMap<Connection>,
    pub(crate) accepted: usize,
    pub(crate) errors: Vec<ump_server::net::Error>,
    pub(crate) timers: u32,
    /// The room of one read.
    pub(crate) room: usize,
    /// The most that was unsent.
    pub(crate) most_unsent: usize,
    /// The order of events.
    pub(crate) log: Option<Sender<SocketId>>,
}

impl Echo {
    pub(crate) fn new<W>(cx: &Cx<W>) -> Self {
        Self {
            listener: cx.sockets().listen(ANY_PORT).expect("a free port"),
            connections: SocketMap::new(),
            accepted: 0,
            errors: Vec::new(),
            timers: 0,
            room: 4096,
            most_unsent: 0,
            log: None,
        }
    }

    fn flush(&mut self, id: SocketId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        while !connection.unsent.is_empty() {
            match connection.stream.write(&connection.unsent) {
                Ok(written) => drop(connection.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.connections.remove(id);
                    return;
                }
            }
        }
        if connection.unsent.is_empty() {
            if connection.is_ended {
                self.connections.remove(id);
            } else {
                connection.stream.resume_reading();
            }
        } else {
            connection.stream.pause_reading();
        }
    }
}

impl World for Echo {
    fn on_socket(&mut self, event: Event) {
        match event {
            Event::Accepted { stream, peer, .. } => {
                assert_eq!(stream.status().peer.ip(), Some(peer));
                self.accepted += 1;
                let connection = Connection {
                    stream,
                    unsent: Vec::new(),
                    is_ended: false,
                };
                self.connections.insert(connection.stream.id(), connection);
            }
            Event::Readable(id) => {
                let connection = self.connections.get_mut(id).expect("it is open");
                if let Some(log) = &self.log {
                    let _ = log.send(id);
                }
                let mut buffer = vec![0; self.room];
                match connection.stream.read(&mut buffer) {
                    Ok(0) => connection.is_ended = true,
                    Ok(read) => {
                        connection.unsent.extend(&buffer[..read]);
                        self.most_unsent = self.most_unsent.max(connection.unsent.len());
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => drop(self.connections.remove(id)),
                }
                self.flush(id);
            }
            Event::Writable(id) => self.flush(id),
            Event::Closed(id) => drop(self.connections.remove(id)),
            Event::Error(error) => self.errors.push(error),
            other => panic!("unexpected: {other:?}"),
        }
    }

    fn on_timer(&mut self, _timer: u32) {
        self.timers += 1;
    }
}

impl Loop<Echo> {
    pub(crate) fn address(&self) -> SocketAddr {
        self.with(|echo| echo.listener.local_addr().expect("it is bound"))
    }

    pub(crate) fn connect(&self) -> StdTcpStream {
        connect(self.address())
    }
}

pub(crate) fn connect(address: SocketAddr) -> StdTcpStream {
    let stream = StdTcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a time-out");
    stream
}

/// A world that passes its events on, with sockets that the test keeps.
pub(crate) struct Recorder<K> {
    pub(crate) sockets: Sockets,
    pub(crate) kept: K,
    events: Sender<Event>,
}

impl<K: Send + 'static> World for Recorder<K> {
    fn on_socket(&mut self, event: Event) {
        // The event comes again as long as it is readable, so it is paused by whoever wants less.
        let _ = self.events.send(event);
    }
}

/// Spawns a loop that passes its events on.
pub(crate) fn recorder<K: Send + 'static>(
    make: impl FnOnce(&Sockets) -> K + Send + 'static,
) -> (Loop<Recorder<K>>, Receiver<Event>) {
    let (events, receiver) = mpsc::channel();
    let mut make = Some(make);
    let host = Loop::spawn(move |cx| {
        let sockets = cx.sockets();
        Recorder {
            kept: make.take().expect("once")(&sockets),
            sockets,
            events: events.clone(),
        }
    });
    (host, receiver)
}

pub(crate) fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(PATIENCE).expect("an event")
}

/// Runs a test in a process of its own, for what other tests would disturb: limits, descriptors,
/// the processor's time. `name` is that of the test.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "UMP_SERVER_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let me = std::env::current_exe().expect("the test itself");
    let mut command = std::process::Command::new(me);
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    let status = command.env(ALONE, "1").status().expect("it starts");
    assert!(status.success(), "{name}: {status}");
}

/// Returns the number of open descriptors of this process; `None` if the system does not tell.
pub(crate) fn descriptors() -> Option<usize> {
    prepare();
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

/// Sets the limit of open files of this process. Returns false if the system forbids it.
pub(crate) fn limit_descriptors(count: u64) -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let before = getrlimit(Resource::Nofile);
    if before.maximum.is_some_and(|most| most < count) {
        return false;
    }
    let limit = Rlimit {
        current: Some(count),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, limit).is_ok()
}

/// Bytes that are easy to tell apart.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let byte = |n: usize| u8::try_from((n * 31 + n / 251) % 256).expect("it is below 256");
    (0..len).map(byte).collect()
}
