//! Builds a log, and starts its threads.

mod sink;

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, registry::LookupSpan, reload,
};
use ump::{Client, Clock};
use ump_server::{OnPanic, TestClock, thread};

use self::sink::Kind;
pub use self::sink::{File, Sink};
use crate::{
    error::{FilterError, StartError},
    format::Format,
    handle::{Filter, Guard, LogHandle, parse_filter},
    layer::LogLayer,
    ports::{Port, Ports, Progress, Reporter},
    queue::Queue,
    sink::{
        Sink as Drain,
        datagram::Datagrams,
        file::{LogFile, Plan, compress::Compressor, hangup::Hangup, rotated::Series},
        stream::Stream,
        tail::{Ring, Tail, TailSink},
        writer::Writer,
    },
    time::Calendar,
};

/// 2 MiB.
const LONGEST_RECORD: usize = 2 << 20;
/// The queue of a tail, which empties as fast as its thread runs.
const TAIL_QUEUE_BYTES: usize = 4 << 20;

/// Builds a log: its filter, and its sinks.
///
/// ```no_run
/// use ump_log::{Builder, File, Format, Sink};
///
/// fn main() -> Result<(), ump_log::StartError> {
///     let _guard = Builder::new()
///         .filter("info,shop::orders=debug")
///         .sink(File::new("shop.log", Format::Json).rotate_bytes(64 << 20).compress().cap_bytes(1 << 30))
///         .sink(Sink::stderr(Format::Text).level(tracing::Level::WARN))
///         .init()?;
///     tracing::info!(article = "tea", count = 3, "sold");
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it starts a log"]
pub struct Builder {
    filter: String,
    sinks: Vec<Sink>,
    tail: Option<(usize, Format)>,
    longest: usize,
    timeout: Duration,
    hangup: bool,
    clock: Clock,
    test_clock: Option<TestClock>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Creates a builder without a sink, with the filter `info`.
    pub fn new() -> Self {
        Self {
            filter: "info".to_owned(),
            sinks: Vec::new(),
            tail: None,
            longest: LONGEST_RECORD,
            timeout: Duration::from_secs(2),
            hangup: false,
            clock: Clock::system(),
            test_clock: None,
        }
    }

    /// Sets the filter: directives as of [`EnvFilter`], such as `info,shop::orders=debug`. It can
    /// be [replaced](LogHandle::set_filter) later.
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.filter = directives.into();
        self
    }

    /// Adds a sink: a [`File`], or one of those of [`Sink`].
    pub fn sink(mut self, sink: impl Into<Sink>) -> Self {
        self.sinks.push(sink.into());
        self
    }

    /// Keeps the last records in memory, at most `records` and 16 MiB: see [`Tail`].
    pub fn tail(mut self, records: usize, format: Format) -> Self {
        self.tail = Some((records, format));
        self
    }

    /// Sets the most bytes of the fields of a record, spans included. The default is 2 MiB. What
    /// is longer is cut, and the field `ump_log.cut_bytes` says by how much.
    pub fn longest_record(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Sets how long the [`Guard`] waits at the end for records that are not yet written. The
    /// default is two seconds.
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens files anew after the signal `SIGHUP`, before the next record is written: `logrotate`
    /// sends it after it has renamed a file. The signal ends the process no more. Without this,
    /// `logrotate` needs `copytruncate`.
    pub fn reopen_on_hangup(mut self) -> Self {
        self.hangup = true;
        self
    }

    /// Sets the clock of the threads and of the time of records. The calendar of a clock that is
    /// not the system's begins at the present.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets a clock that a test advances.
    pub fn test_clock(mut self, clock: &TestClock) -> Self {
        self.clock = clock.clock();
        self.test_clock = Some(clock.clone());
        self
    }

    /// Starts the log, and makes it the global subscriber of the process.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn init(self) -> Result<Guard, StartError> {
        let (layer, guard) = self.start()?;
        let subscriber = Registry::default().with(layer);
        tracing::subscriber::set_global_default(subscriber).map_err(|_| StartError::Subscriber)?;
        Ok(guard)
    }

    /// Starts the log, and returns a layer for a subscriber that has others as well.
    ///
    /// Its filter is that of the whole subscriber, unless the layer is given one of its own by
    /// [`with_filter`](Layer::with_filter).
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start<S>(self) -> Result<(impl Layer<S> + use<S>, Guard), StartError>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let filter = parse_filter(&self.filter)?;
        let mut launch = Launch {
            ports: Vec::new(),
            reporters: Arc::default(),
            calendar: Calendar::new(self.clock.clone()),
            clock: self.clock,
            test_clock: self.test_clock,
            hangup: self.hangup,
        };
        for sink in self.sinks {
            launch.sink(sink)?;
        }
        let ring = self
            .tail
            .map(|(records, format)| launch.tail(records, format))
            .transpose()?;
        let calendar = launch.calendar.clone();
        let (reporters, ports) = (launch.reporters, Arc::new(launch.ports));
        // It is empty until now.
        let _ = reporters.set(Arc::downgrade(&ports));
        let tail = ring.map(|ring| Tail {
            ring,
            ports: Arc::clone(&ports),
            index: ports.len() - 1,
        });
        let (filter, replace) = reload::Layer::<EnvFilter, S>::new(filter);
        let layer = filter.and_then(LogLayer {
            ports: Arc::clone(&ports),
            calendar,
            longest: self.longest,
        });
        let replace =
            Box::new(move |filter| replace.reload(filter).map_err(|_| FilterError::Ended));
        let text = Mutex::new(self.filter);
        let filter = Arc::new(Filter { text, replace });
        let handle = LogHandle {
            ports,
            filter,
            tail,
        };
        let timeout = self.timeout;
        Ok((layer, Guard { handle, timeout }))
    }
}

/// The sinks that are started so far, and what the next ones need.
struct Launch {
    ports: Ports,
    reporters: Arc<OnceLock<std::sync::Weak<Ports>>>,
    calendar: Calendar,
    clock: Clock,
    test_clock: Option<TestClock>,
    hangup: bool,
}

impl Launch {
    fn sink(&mut self, sink: Sink) -> Result<(), StartError> {
        let Sink {
            kind,
            level,
            queue_bytes,
        } = sink;
        match kind {
            Kind::File(file) => {
                let name = file.path().display().to_string();
                let file = self.file(file.check()?)?;
                self.port(name, file, level, queue_bytes)
            }
            Kind::Stream(name, writer, format) => {
                let stream = Stream::new(writer, format);
                self.port(name.to_owned(), stream, level, queue_bytes)
            }
            Kind::Datagrams(path, identifier, protocol) => {
                let name = path.display().to_string();
                let datagrams = Datagrams::connect(&path, identifier, protocol);
                let datagrams = datagrams.map_err(|error| StartError::Open { path, error })?;
                self.port(name, datagrams, level, queue_bytes)
            }
        }
    }

    fn file(&self, plan: Plan) -> Result<LogFile, StartError> {
        let hangup = self.hangup.then(Hangup::register).transpose();
        let hangup = hangup.map_err(StartError::Signal)?;
        let path = plan.path.clone();
        let compressor = plan
            .compresses
            .then(|| self.compressor(&plan))
            .transpose()?;
        let rotated = Box::new(move || {
            if let Some(client) = &compressor {
                // One that is at work, and has another request, finds all files.
                drop(client.post(()).if_room().wait());
            }
        });
        rotated(); // an earlier process may have left files
        LogFile::open(plan, hangup, rotated).map_err(|error| StartError::Open { path, error })
    }

    fn compressor(&self, plan: &Plan) -> Result<Client<(), (), Infallible>, StartError> {
        let compressor = Compressor {
            series: Series::new(&plan.path),
            mode: plan.mode,
            reporter: self.reporter(None),
        };
        let name = "log-compress".to_owned();
        let spawned = self.builder(&name).capacity(1).serve(compressor);
        match spawned {
            Ok((client, _)) => Ok(client),
            Err(error) => Err(thread_error(name, &error)),
        }
    }

    fn tail(&mut self, records: usize, format: Format) -> Result<Arc<Mutex<Ring>>, StartError> {
        if records == 0 {
            return Err(StartError::Zero("the records of a tail"));
        }
        let ring = Arc::new(Mutex::new(Ring::new(records)));
        let sink = TailSink {
            ring: Arc::clone(&ring),
            format,
            headers: VecDeque::new(),
        };
        self.port(
            "tail".to_owned(),
            sink,
            LevelFilter::TRACE,
            TAIL_QUEUE_BYTES,
        )?;
        if let Some(port) = self.ports.last_mut() {
            port.is_tail = true;
        }
        Ok(ring)
    }

    fn port(
        &mut self,
        name: String,
        sink: impl Drain,
        level: LevelFilter,
        queue_bytes: usize,
    ) -> Result<(), StartError> {
        let queue = Arc::new(Queue::new(queue_bytes));
        let progress = Arc::new(Mutex::new(Progress::default()));
        let writer = Writer::new(
            sink,
            name.clone(),
            Arc::clone(&queue),
            Arc::clone(&progress),
            self.reporter(Some(self.ports.len())),
        );
        let (client, _) = match self.builder("log").serve(writer) {
            Ok(ends) => ends,
            Err(error) => return Err(thread_error(name, &error)),
        };
        self.ports.push(Port {
            name,
            level,
            queue,
            client,
            progress,
            is_tail: false,
        });
        Ok(())
    }

    fn builder(&self, name: &str) -> thread::Builder {
        let builder = thread::Builder::new()
            .name(name)
            .on_panic(OnPanic::Continue);
        match &self.test_clock {
            Some(clock) => builder.test_clock(clock),
            None => builder.clock(self.clock.clone()),
        }
    }

    fn reporter(&self, from: Option<usize>) -> Reporter {
        Reporter {
            ports: Arc::clone(&self.reporters),
            from,
            calendar: self.calendar.clone(),
        }
    }
}

fn thread_error(name: String, error: &dyn std::error::Error) -> StartError {
    let cause = error.to_string();
    StartError::Thread { name, cause }
}
