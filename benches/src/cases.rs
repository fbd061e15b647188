//! The cases, and the contenders of each.

use crate::{
    contenders::{
        AsyncChannel, Contender, Crossbeam, CrossbeamKept, Flume, Kanal, KanalKept, Role, Shape,
        Std, StdKept, Tokio,
        actix::Actix,
        crossfire::{AsyncCrossfire, BlockingCrossfire, CrossfireOneshot},
        floors::{Call, Park, Spin, Threads, Yield},
        kameo::Kameo,
        published::Published,
        published_server::PublishedServer,
        ractor::Ractor,
        replies::Kept,
        ump::Ump,
        ump_server::UmpServer,
        with::With,
        xtra::Xtra,
    },
    message::{After, Bytes1K, Bytes64K, Message, Slow},
    sample::{Load, Sample},
    topologies::{
        DEPTH, async_to_blocking, blocking, blocking_to_async, blocking_to_workers, cancelled,
        on_one_thread, on_two_threads, pipelined_async, pipelined_blocking, workers_to_blocking,
    },
};

/// Contenders that do the same work, side by side.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    /// Whether the case runs in a process that may use one CPU only.
    pub(crate) one_cpu: bool,
    /// The plot of throughput by clients that this case is a point of.
    pub(crate) scaling: Option<&'static str>,
    /// Whether each request is timed, in a pass of its own.
    pub(crate) latency: bool,
    pub(crate) entries: Vec<Entry>,
}

/// A contender in a case.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) run: fn(&Load) -> Sample,
}

impl Entry {
    fn new<C: Contender<M>, M: Message>(run: fn(&Load) -> Sample) -> Self {
        Self {
            name: C::name(),
            role: C::ROLE,
            run,
        }
    }
}

impl Case {
    fn new(name: &str, about: &'static str, clients: usize) -> Self {
        Self {
            name: name.into(),
            about,
            shape: Shape {
                channels: 1,
                clients,
                depth: 1,
            },
            one_cpu: false,
            scaling: None,
            latency: true,
            entries: Vec::new(),
        }
    }

    fn with(mut self, entries: Vec<Entry>) -> Self {
        self.entries.extend(entries);
        self
    }

    fn pipelined(mut self) -> Self {
        self.shape.depth = DEPTH;
        self
    }

    fn channels(mut self, channels: usize) -> Self {
        self.shape.channels = channels;
        self
    }

    fn one_cpu(mut self) -> Self {
        self.one_cpu = true;
        self
    }

    fn scaling(mut self, plot: &'static str) -> Self {
        self.scaling = Some(plot);
        self
    }

    fn throughput_only(mut self) -> Self {
        self.latency = false;
        self
    }

    /// Keeps these contenders, and those that they are compared with. Keeps none if none of these
    /// takes part.
    pub(crate) fn keep_only(&mut self, names: &[String]) {
        if self.entries.iter().any(|entry| names.contains(&entry.name)) {
            let compared = [Role::Floor, Role::Ump];
            self.entries
                .retain(|entry| compared.contains(&entry.role) || names.contains(&entry.name));
        } else {
            self.entries.clear();
        }
    }

    /// The load of one contender: a floor has one client and one channel in every case.
    pub(crate) fn shape(&self, entry: &Entry) -> Shape {
        if entry.role == Role::Floor {
            return Shape {
                channels: 1,
                clients: 1,
                depth: 1,
            };
        }
        self.shape
    }
}

type SpinFloor = Threads<Spin>;
type ParkFloor = Threads<Park>;
type Crossfire = With<BlockingCrossfire>;
type CrossfireOwn = With<BlockingCrossfire, CrossfireOneshot>;
type CrossfireKept = With<BlockingCrossfire, Kept<BlockingCrossfire>>;
type CrossfireToTask = With<AsyncCrossfire>;
type CrossfireOwnToTask = With<AsyncCrossfire, CrossfireOneshot>;

/// An entry for each contender with this topology and message.
macro_rules! entries {
    ($run:ident, $message:ty: $($contender:ty),+ $(,)?) => {
        vec![$(Entry::new::<$contender, $message>($run::<$contender, $message>)),+]
    };
}

/// All contenders that can block at both ends.
macro_rules! all_blocking {
    ($run:ident) => {
        entries![
            $run, u64: Ump, Published, Tokio, Flume, Kanal, KanalKept, Crossfire, CrossfireOwn, CrossfireKept, AsyncChannel,
            Crossbeam, CrossbeamKept, Std, StdKept,
        ]
    };
}

/// The best forms of each contender that can block at both ends.
macro_rules! main_blocking {
    ($message:ty) => {
        entries![
            blocking, $message: Ump, Published, Tokio, Flume, Kanal, KanalKept, CrossfireOwn, CrossfireKept, AsyncChannel, Crossbeam,
            CrossbeamKept, StdKept,
        ]
    };
}

/// All channels that can be awaited at both ends.
macro_rules! all_async {
    ($run:ident, $message:ty) => {
        entries![
            $run, $message: Ump, Published, Tokio, Flume, Kanal, KanalKept, CrossfireToTask, CrossfireOwnToTask, AsyncChannel,
        ]
    };
}

/// The actors that can run on several executor threads.
macro_rules! actors {
    ($run:ident) => {
        entries![$run, u64: Kameo, Ractor, Xtra]
    };
}

/// All contenders with an async client and a blocking server.
fn all_async_to_blocking() -> Vec<Entry> {
    entries![
        async_to_blocking, u64: Ump, Published, Tokio, Flume, Kanal, KanalKept, Crossfire, CrossfireOwn, AsyncChannel, Crossbeam, Std,
    ]
}

/// All contenders with a blocking client and an async server.
fn all_blocking_to_async() -> Vec<Entry> {
    entries![
        blocking_to_async, u64: Ump, Published, Tokio, Flume, Kanal, KanalKept, CrossfireToTask, CrossfireOwnToTask, AsyncChannel,
    ]
}

/// The floors between threads.
fn thread_floors() -> Vec<Entry> {
    entries![blocking, u64: SpinFloor, ParkFloor]
}

mod loops;

/// All cases, in the order of the tables.
pub(crate) fn all() -> Vec<Case> {
    [
        threads(),
        tasks(),
        mixed(),
        on_workers(),
        pipelined(),
        large(),
        unkind(),
        on_one_cpu(),
        more_clients(),
        loops::untyped(),
        loops::typed(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn threads() -> Vec<Case> {
    let case = |clients| {
        Case::new(
            &format!("blocking-{clients}"),
            "Threads ask a thread; as many clients as the name says.",
            clients,
        )
        .with(thread_floors())
        .with(all_blocking![blocking])
        .scaling("blocking")
    };
    [1, 4, 64, 1000].map(case).into()
}

fn tasks() -> Vec<Case> {
    vec![
        Case::new("async-1", "A task asks a task, on one executor thread.", 1)
            .with(entries![on_one_thread, u64: Yield])
            .with(all_async![on_one_thread, u64])
            .with(actors![on_one_thread])
            .with(entries![on_one_thread, u64: Actix]),
        Case::new(
            "async-1-two-workers",
            "A task asks a task, on two executor threads.",
            1,
        )
        .with(entries![on_two_threads, u64: Yield])
        .with(all_async![on_two_threads, u64])
        .with(actors![on_two_threads])
        .scaling("async"),
        Case::new(
            "async-64-two-workers",
            "64 tasks ask a task, on two executor threads.",
            64,
        )
        .with(entries![on_two_threads, u64: Yield])
        .with(all_async![on_two_threads, u64])
        .with(actors![on_two_threads])
        .scaling("async"),
    ]
}

fn mixed() -> Vec<Case> {
    vec![
        Case::new("async-to-blocking-1", "A task asks a thread.", 1)
            .with(thread_floors())
            .with(all_async_to_blocking()),
        Case::new(
            "async-to-blocking-64",
            "64 tasks on one executor thread ask a thread.",
            64,
        )
        .with(thread_floors())
        .with(all_async_to_blocking()),
        Case::new("blocking-to-async-1", "A thread asks a task.", 1)
            .with(thread_floors())
            .with(all_blocking_to_async()),
    ]
}

/// The default runtime of programs, with as many workers as there are CPUs, or more.
fn on_workers() -> Vec<Case> {
    macro_rules! workers {
        ($run:ident, $workers:literal, $message:ty: $($contender:ty),+ $(,)?) => {
            vec![$(Entry::new::<$contender, $message>($run::<$workers, $contender, $message>)),+]
        };
    }
    macro_rules! after {
        ($microseconds:literal) => {
            Case::new(
                concat!("async-to-blocking-1-two-workers-after-", $microseconds),
                concat!("A task of a runtime with two workers asks a thread, and works for ", $microseconds, " µs before it asks."),
                1,
            )
            .with(entries![blocking, After<$microseconds>: Call])
            .with(workers![
                workers_to_blocking, 2, After<$microseconds>: Ump, Published, Tokio, Flume, Kanal,
            ])
        };
    }
    vec![
        Case::new(
            "async-to-blocking-1-two-workers",
            "A task of a runtime with two workers asks a thread.",
            1,
        )
        .with(thread_floors())
        .with(workers![
            workers_to_blocking, 2, u64: Ump, Published, Tokio, Flume, Kanal, KanalKept, CrossfireOwn,
        ]),
        Case::new(
            "async-to-blocking-1-four-workers",
            "A task of a runtime with four workers asks a thread.",
            1,
        )
        .with(thread_floors())
        .with(workers![
            workers_to_blocking, 4, u64: Ump, Published, Tokio, Flume, Kanal, KanalKept, CrossfireOwn,
        ]),
        Case::new(
            "blocking-to-async-1-two-workers",
            "A thread asks a task of a runtime with two workers.",
            1,
        )
        .with(thread_floors())
        .with(workers![
            blocking_to_workers, 2, u64: Ump, Published, Tokio, Flume, Kanal, KanalKept,
        ]),
        Case::new(
            "blocking-to-async-1-four-workers",
            "A thread asks a task of a runtime with four workers.",
            1,
        )
        .with(thread_floors())
        .with(workers![
            blocking_to_workers, 4, u64: Ump, Published, Tokio, Flume, Kanal, KanalKept,
        ]),
        after!(5),
        after!(50),
        after!(500),
    ]
}

fn pipelined() -> Vec<Case> {
    vec![
        Case::new(
            "pipelined-64-blocking",
            "A thread asks a thread 64 times, then waits for the 64 replies; the server takes all that are there.",
            1,
        )
        .with(all_blocking![pipelined_blocking])
        .pipelined(),
        Case::new(
            "pipelined-64-async",
            "A task asks a task 64 times, then awaits the 64 replies, on one executor thread; the server takes all that are there.",
            1,
        )
        .with(all_async![pipelined_async, u64])
        .pipelined(),
    ]
}

fn large() -> Vec<Case> {
    vec![
        Case::new(
            "message-1k-blocking",
            "As blocking-1, with 1 KiB by value each way.",
            1,
        )
        .with(main_blocking![Bytes1K]),
        Case::new(
            "message-1k-async",
            "As async-1, with 1 KiB by value each way.",
            1,
        )
        .with(all_async![on_one_thread, Bytes1K]),
        Case::new(
            "message-64k-blocking",
            "As blocking-1, with 64 KiB by value each way.",
            1,
        )
        .with(main_blocking![Bytes64K]),
        Case::new(
            "message-64k-async",
            "As async-1, with 64 KiB by value each way.",
            1,
        )
        .with(all_async![on_one_thread, Bytes64K]),
    ]
}

fn unkind() -> Vec<Case> {
    vec![
        Case::new("long-handler", "As blocking-1, with a handler that works for 20 µs.", 1)
            .with(entries![blocking, Slow: Call])
            .with(main_blocking![Slow]),
        Case::new(
            "oversubscribed",
            "Four servers with four clients each, all threads: more of them than processors.",
            4,
        )
        .with(thread_floors())
        .with(main_blocking![u64])
        .channels(4),
        Case::new("cancelled", "As async-1, but every second request is dropped before its reply.", 1).with(entries![
            cancelled, u64: Ump, Published, Tokio, Flume, Kanal, CrossfireToTask, CrossfireOwnToTask, AsyncChannel,
        ]),
    ]
}

fn on_one_cpu() -> Vec<Case> {
    let case = |name, clients, entries| {
        Case::new(
            name,
            "The same on one CPU, where only one thread runs at a time.",
            clients,
        )
        .with(entries![blocking, u64: ParkFloor])
        .with(entries)
        .one_cpu()
    };
    vec![
        case("one-cpu-blocking-1", 1, main_blocking![u64]),
        case("one-cpu-blocking-4", 4, main_blocking![u64]),
        case("one-cpu-async-to-blocking-1", 1, all_async_to_blocking()),
        case("one-cpu-blocking-to-async-1", 1, all_blocking_to_async()),
    ]
}

/// The other points of the plots of throughput.
fn more_clients() -> Vec<Case> {
    let about = "For the plot of throughput against clients.";
    let threads = [2, 16, 256].map(|clients| {
        Case::new(&format!("scaling-blocking-{clients}"), about, clients)
            .with(main_blocking![u64])
            .scaling("blocking")
    });
    let tasks = [2, 4, 16, 256, 1000].map(|clients| {
        Case::new(&format!("scaling-async-{clients}"), about, clients)
            .with(all_async![on_two_threads, u64])
            .scaling("async")
    });
    threads
        .into_iter()
        .chain(tasks)
        .map(Case::throughput_only)
        .collect()
}
