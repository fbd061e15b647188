//! The monitor: the thread that watches. The parent module describes the protocol.

use std::{
    io, mem, process,
    sync::Arc as StdArc,
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use super::{
    Stall, WatchTarget,
    watched_worker::{Slept, WatchedWorker},
};
use crate::{
    catch::catch_user_panic,
    record::Turn,
    sync::{Arc, AtomicBool, Condvar, Ordering, SleepMutex, ThreadBuilder, fence},
};

/// Watches loops by a thread that exists while there are any.
pub(crate) struct Monitor {
    /// Whether the thread sleeps until a worker begins a turn.
    asleep: AtomicBool,
    shared: SleepMutex<Shared>,
    changed: Condvar,
    /// The process that this monitor belongs to. A forked child must not wait for the lock: its
    /// owner may not exist in the child.
    process: u32,
}

/// The state that workers share with the thread.
#[derive(Default)]
struct Shared {
    /// Whether there is a thread, which will read the commands.
    is_running: bool,
    /// Whether the thread is to look again.
    is_woken: bool,
    commands: Vec<Command>,
}

enum Command {
    Join(Arc<WatchTarget>),
    Leave(Arc<WatchTarget>),
    Over(Arc<WatchTarget>, Turn, Stall),
}

/// How long the thread may sleep.
enum Sleep {
    /// Until it is woken, or until this instant.
    Until(Option<Instant>),
    /// Until a worker begins a turn, or it is woken.
    UntilBegun,
    /// Not at all: there is something to look at.
    No,
}

impl Monitor {
    pub(crate) fn new() -> StdArc<Self> {
        StdArc::new(Self {
            asleep: AtomicBool::new(false),
            shared: SleepMutex::new(Shared::default()),
            changed: Condvar::new(),
            process: process::id(),
        })
    }

    /// Returns the monitor of the process. A forked child has its own.
    ///
    /// # Errors
    /// The system cannot distinguish a forked child from its parent.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn of_process() -> io::Result<StdArc<Self>> {
        static MONITOR: ump::PerProcess<StdArc<Monitor>> = ump::PerProcess::new();
        MONITOR.get(Monitor::new).map(StdArc::clone)
    }

    /// Returns the monitor of the model.
    #[cfg(any(loom, shuttle))]
    #[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn of_process() -> io::Result<StdArc<Self>> {
        crate::sync::lazy_static! {
            static ref MONITOR: StdArc<Monitor> = Monitor::new();
        }
        Ok(StdArc::clone(&MONITOR))
    }

    // ---- for workers

    /// Starts to watch a worker.
    pub(super) fn watch(self: &StdArc<Self>, watched: &Arc<WatchTarget>) -> io::Result<()> {
        let mut shared = self.shared.lock();
        if !shared.is_running {
            // Under the lock, so that a concurrent caller learns whether there is a thread.
            let this = StdArc::clone(self);
            let thread = ThreadBuilder::new().name("ump-watchdog".to_owned());
            thread.spawn(move || this.run())?;
            shared.is_running = true;
        }
        shared.commands.push(Command::Join(Arc::clone(watched)));
        shared.is_woken = true;
        drop(shared);
        self.changed.notify_one();
        Ok(())
    }

    pub(super) fn forget(&self, watched: Arc<WatchTarget>) {
        self.send(Command::Leave(watched));
    }

    pub(super) fn is_over(&self, watched: &Arc<WatchTarget>, turn: Turn, stall: Stall) {
        self.send(Command::Over(Arc::clone(watched), turn, stall));
    }

    /// Notifies the monitor that a turn has begun. The record must say so already.
    #[inline]
    pub(super) fn worker_resumed(&self) {
        // ORDERING: the fence pairs with that of `sleep`: the monitor sees the turn, or this thread
        // sees that the monitor sleeps.
        fence(Ordering::SeqCst);
        // ORDERING: Relaxed. The fence orders it, and the lock does the rest.
        if self.asleep.load(Ordering::Relaxed) {
            self.rouse();
        }
    }

    #[cold]
    fn rouse(&self) {
        // ORDERING: Relaxed. Of several workers that begin a turn, one is enough.
        if self.asleep.swap(false, Ordering::Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.is_of_parent() {
            return;
        }
        self.shared.lock().is_woken = true;
        self.changed.notify_one();
    }

    fn send(&self, commands: Command) {
        if self.is_of_parent() {
            return;
        }
        let mut shared = self.shared.lock();
        shared.commands.push(commands);
        shared.is_woken = true;
        drop(shared);
        self.changed.notify_one();
    }

    fn is_of_parent(&self) -> bool {
        self.process != process::id()
    }

    // ---- the thread

    fn run(self: StdArc<Self>) {
        let waker = Waker::from(StdArc::clone(&self));
        let mut workers = Vec::new();
        while self.run_commands(&mut workers) {
            let sleep = self.look(&mut workers, &waker);
            let slept = self.sleep(&sleep, &workers);
            for worker in workers
                .iter_mut()
                .filter(|worker| worker.goes_by_the_system())
            {
                worker.slept(slept);
            }
        }
    }

    /// Runs the queued commands. Returns false if no worker is watched any more and the thread is
    /// to end.
    fn run_commands(&self, workers: &mut Vec<WatchedWorker>) -> bool {
        let mut shared = self.shared.lock();
        shared.is_woken = false;
        if workers.is_empty() && shared.commands.is_empty() {
            shared.is_running = false;
            return false;
        }
        let commands = mem::take(&mut shared.commands);
        drop(shared);
        for commands in commands {
            match commands {
                Command::Join(watched) => {
                    let mut worker = WatchedWorker::new(watched);
                    if worker.goes_by_the_system() {
                        worker.slept(Slept::Unwatched);
                    }
                    workers.push(worker);
                }
                Command::Over(watched, turn, stall) => {
                    let worker = workers.iter().find(|worker| worker.is_of(&watched));
                    let stall = match worker {
                        Some(worker) => worker.over(turn, stall),
                        None => stall,
                    };
                    watched.report(&stall);
                }
                Command::Leave(watched) => {
                    workers.retain(|worker| !worker.is_of(&watched));
                    // The last reference drops the callback, which is user code.
                    catch_user_panic(|| drop(watched));
                }
            }
        }
        true
    }

    /// Looks at all records, and reports what is due.
    fn look(&self, workers: &mut [WatchedWorker], waker: &Waker) -> Sleep {
        let mut is_active = false;
        for worker in &mut *workers {
            let report = worker.look();
            if let Some((turn, stall)) = report {
                self.tell_of_earlier(worker, turn);
                worker.watched().report(&stall);
            }
            is_active |= worker.is_active();
        }
        if workers.is_empty() {
            return Sleep::No;
        }
        if !is_active {
            return Sleep::UntilBegun;
        }
        let mut until = None;
        for worker in workers {
            match worker.sleep(waker) {
                Ok(None) => {}
                Ok(Some(at)) => until = Some(until.map_or(at, |until: Instant| until.min(at))),
                Err(()) => return Sleep::No,
            }
        }
        Sleep::Until(until)
    }

    /// Reports the queued ends of earlier turns of this worker.
    fn tell_of_earlier(&self, worker: &WatchedWorker, turn: Turn) {
        let mut shared = self.shared.lock();
        let is_earlier = |commands: &Command| matches!(commands, Command::Over(watched, over, _) if worker.is_of(watched) && *over < turn);
        let (earlier, others) = mem::take(&mut shared.commands)
            .into_iter()
            .partition(is_earlier);
        shared.commands = others;
        drop(shared);
        let earlier: Vec<Command> = earlier;
        for commands in earlier {
            if let Command::Over(watched, over, stall) = commands {
                watched.report(&worker.over(over, stall));
            }
        }
    }

    fn sleep(&self, sleep: &Sleep, workers: &[WatchedWorker]) -> Slept {
        let until = match sleep {
            Sleep::No => return ON_TIME,
            Sleep::Until(until) => *until,
            Sleep::UntilBegun => {
                self.asleep.store(true, Ordering::Relaxed);
                // ORDERING: the fence pairs with that of `worker_resumed`.
                fence(Ordering::SeqCst);
                if workers.iter().any(WatchedWorker::has_begun) {
                    self.asleep.store(false, Ordering::Relaxed);
                    return ON_TIME;
                }
                None
            }
        };
        let mut shared = self.shared.lock();
        let mut is_late = false;
        while !shared.is_woken && !is_late {
            (shared, is_late) = self.changed.wait(shared, until);
        }
        drop(shared);
        self.asleep.store(false, Ordering::Relaxed);
        match until {
            Some(until) => Slept::Late(Instant::now().saturating_duration_since(until)),
            None => Slept::Unwatched,
        }
    }
}

const ON_TIME: Slept = Slept::Late(Duration::ZERO);

/// The waker for clocks other than the system's.
impl Wake for Monitor {
    fn wake(self: StdArc<Self>) {
        Monitor::wake(&self);
    }
}
