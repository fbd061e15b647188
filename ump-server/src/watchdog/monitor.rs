//! The thread that watches. The protocol is in the comment of the module above.

use std::{
    io, mem, process,
    sync::Arc as StdArc,
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use super::{
    Stall, Watched,
    watched_worker::{Round, Slept},
};
use crate::{
    record::Turn,
    sync::{Arc, AtomicBool, Condvar, Ordering, SleepMutex, ThreadBuilder, fence},
    worker::panics::caught,
};

/// Watches over loops by a thread that is there while there are any.
pub(crate) struct Monitor {
    /// It sleeps until somebody begins a turn.
    asleep: AtomicBool,
    board: SleepMutex<Board>,
    news: Condvar,
    /// A forked child of this process must not wait for the lock: who holds it may not be there.
    process: u32,
}

/// What it is told.
#[derive(Default)]
struct Board {
    /// Whether there is a thread, which will look at the mail.
    is_running: bool,
    /// It is to look again.
    is_woken: bool,
    mail: Vec<Mail>,
}

enum Mail {
    Join(Arc<Watched>),
    Leave(Arc<Watched>),
    Over(Arc<Watched>, Turn, Stall),
}

/// Until when there is nothing to look at.
enum Sleep {
    /// Until it is woken, or that.
    Until(Option<Instant>),
    /// Until a worker begins something, or it is woken.
    UntilBegun,
    /// There is.
    No,
}

impl Monitor {
    pub(crate) fn new() -> StdArc<Self> {
        StdArc::new(Self {
            asleep: AtomicBool::new(false),
            board: SleepMutex::new(Board::default()),
            news: Condvar::new(),
            process: process::id(),
        })
    }

    /// That of the process: a forked child has its own.
    ///
    /// # Errors
    /// The system does not let a child be told from its parent.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn of_process() -> io::Result<StdArc<Self>> {
        static MONITOR: ump::PerProcess<StdArc<Monitor>> = ump::PerProcess::new();
        MONITOR.get(Monitor::new).map(StdArc::clone)
    }

    /// That of the model.
    #[cfg(any(loom, shuttle))]
    #[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn of_process() -> io::Result<StdArc<Self>> {
        crate::sync::lazy_static! {
            static ref MONITOR: StdArc<Monitor> = Monitor::new();
        }
        Ok(StdArc::clone(&MONITOR))
    }

    // ---- for workers

    /// Watches from now on.
    pub(super) fn watch(self: &StdArc<Self>, watched: &Arc<Watched>) -> io::Result<()> {
        let mut board = self.board.lock();
        if !board.is_running {
            // Under the lock: whoever comes meanwhile learns whether there is a thread.
            let this = StdArc::clone(self);
            let thread = ThreadBuilder::new().name("ump-watchdog".to_owned());
            thread.spawn(move || this.run())?;
            board.is_running = true;
        }
        board.mail.push(Mail::Join(Arc::clone(watched)));
        board.is_woken = true;
        drop(board);
        self.news.notify_one();
        Ok(())
    }

    pub(super) fn forget(&self, watched: Arc<Watched>) {
        self.post(Mail::Leave(watched));
    }

    pub(super) fn is_over(&self, watched: &Arc<Watched>, turn: Turn, stall: Stall) {
        self.post(Mail::Over(Arc::clone(watched), turn, stall));
    }

    /// A turn has begun, and its desk says so.
    #[inline]
    pub(super) fn mind(&self) {
        // Pairs with the fence of `sleep`: the monitor sees the turn, or we see that it sleeps.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it, and the lock does the rest.
        if self.asleep.load(Ordering::Relaxed) {
            self.rouse();
        }
    }

    #[cold]
    fn rouse(&self) {
        // Relaxed: of several that begin one is enough.
        if self.asleep.swap(false, Ordering::Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.is_of_parent() {
            return;
        }
        self.board.lock().is_woken = true;
        self.news.notify_one();
    }

    fn post(&self, mail: Mail) {
        if self.is_of_parent() {
            return;
        }
        let mut board = self.board.lock();
        board.mail.push(mail);
        board.is_woken = true;
        drop(board);
        self.news.notify_one();
    }

    fn is_of_parent(&self) -> bool {
        self.process != process::id()
    }

    // ---- the thread

    fn run(self: StdArc<Self>) {
        let waker = Waker::from(StdArc::clone(&self));
        let mut rounds = Vec::new();
        while self.read_mail(&mut rounds) {
            let sleep = self.look(&mut rounds, &waker);
            let slept = self.sleep(&sleep, &rounds);
            for round in rounds.iter_mut().filter(|round| round.goes_by_the_system()) {
                round.slept(slept);
            }
        }
    }

    /// False if nobody is watched any more, and this thread is not needed.
    fn read_mail(&self, rounds: &mut Vec<Round>) -> bool {
        let mut board = self.board.lock();
        board.is_woken = false;
        if rounds.is_empty() && board.mail.is_empty() {
            board.is_running = false;
            return false;
        }
        let mail = mem::take(&mut board.mail);
        drop(board);
        for mail in mail {
            match mail {
                Mail::Join(watched) => {
                    let mut round = Round::new(watched);
                    if round.goes_by_the_system() {
                        round.slept(Slept::Unwatched);
                    }
                    rounds.push(round);
                }
                Mail::Over(watched, turn, stall) => {
                    let round = rounds.iter().find(|round| round.is_of(&watched));
                    let stall = match round {
                        Some(round) => round.over(turn, stall),
                        None => stall,
                    };
                    watched.tell(&stall);
                }
                Mail::Leave(watched) => {
                    rounds.retain(|round| !round.is_of(&watched));
                    // The callback goes with the last one that knows it: the user's code.
                    let _ = caught(|| drop(watched));
                }
            }
        }
        true
    }

    /// Looks at all desks and tells what is to be told.
    fn look(&self, rounds: &mut [Round], waker: &Waker) -> Sleep {
        let mut is_restless = false;
        for round in &mut *rounds {
            let told = round.look();
            if let Some((turn, stall)) = told {
                self.tell_of_earlier(round, turn);
                round.watched().tell(&stall);
            }
            is_restless |= round.is_restless();
        }
        if rounds.is_empty() {
            return Sleep::No;
        }
        if !is_restless {
            return Sleep::UntilBegun;
        }
        let mut until = None;
        for round in rounds {
            match round.sleep(waker) {
                Ok(None) => {}
                Ok(Some(at)) => until = Some(until.map_or(at, |until: Instant| until.min(at))),
                Err(()) => return Sleep::No,
            }
        }
        Sleep::Until(until)
    }

    /// Tells first that earlier turns are over.
    fn tell_of_earlier(&self, round: &Round, turn: Turn) {
        let mut board = self.board.lock();
        let is_earlier = |mail: &Mail| matches!(mail, Mail::Over(watched, over, _) if round.is_of(watched) && *over < turn);
        let (earlier, others) = mem::take(&mut board.mail).into_iter().partition(is_earlier);
        board.mail = others;
        drop(board);
        let earlier: Vec<Mail> = earlier;
        for mail in earlier {
            if let Mail::Over(watched, over, stall) = mail {
                watched.tell(&round.over(over, stall));
            }
        }
    }

    fn sleep(&self, sleep: &Sleep, rounds: &[Round]) -> Slept {
        let until = match sleep {
            Sleep::No => return ON_TIME,
            Sleep::Until(until) => *until,
            Sleep::UntilBegun => {
                self.asleep.store(true, Ordering::Relaxed);
                // Pairs with the fence of `mind`.
                fence(Ordering::SeqCst);
                if rounds.iter().any(Round::has_begun) {
                    self.asleep.store(false, Ordering::Relaxed);
                    return ON_TIME;
                }
                None
            }
        };
        let mut board = self.board.lock();
        let mut is_late = false;
        while !board.is_woken && !is_late {
            (board, is_late) = self.news.wait(board, until);
        }
        drop(board);
        self.asleep.store(false, Ordering::Relaxed);
        match until {
            Some(until) => Slept::Late(Instant::now().saturating_duration_since(until)),
            None => Slept::Unwatched,
        }
    }
}

const ON_TIME: Slept = Slept::Late(Duration::ZERO);

/// By other clocks than the system's.
impl Wake for Monitor {
    fn wake(self: StdArc<Self>) {
        Monitor::wake(&self);
    }
}
