//! Cancellation: at every await, at every step of the other end, by dropping, by deadline and by forgetting; and races of all that.
//!
//! First all sequences of a few steps are played by hand, on one thread, and compared with a model; then threads race.

use std::{
    collections::VecDeque,
    future::{Future, IntoFuture, poll_fn},
    mem,
    pin::Pin,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use tests::{Bell, Census, Counted, LONG, block_on, eventually, must_end, poll_once, poll_with};
use ump::{
    Client, Error, Executed, ReplyContext, RequestError, SendError, Server, Stats, bounded, channel,
};

/// Calls `f` with every sequence of `len` of the `steps`.
fn all_sequences<T: Copy>(steps: &[T], len: usize, mut f: impl FnMut(&[T])) {
    let mut digits = vec![0; len];
    loop {
        let sequence: Vec<T> = digits.iter().map(|digit| steps[*digit]).collect();
        f(&sequence);
        let Some(at) = digits.iter().rposition(|digit| digit + 1 < steps.len()) else {
            return;
        };
        digits[at] += 1;
        digits[at + 1..].fill(0);
    }
}

#[track_caller]
fn assert_quiet(stats: Stats) {
    assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
    assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
}

/// A request that is polled by hand, while the server takes, answers, lets go or goes, and the queue fills: against a model.
mod every_sequence_of_steps {
    use super::*;

    struct Message {
        probe: bool,
        _counted: Counted,
    }

    type Ends = (Server<Message, Counted, ()>, Client<Message, Counted, ()>);

    /// How the request ends for its caller.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Outcome {
        Reply,
        Sent,
        NoReply,
        ServerDisappeared,
        Full,
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The caller polls.
        Look,
        /// The caller drops its future.
        Leave,
        /// The server takes the next request. If it is the probe the context is held, otherwise answered.
        Take,
        /// The handler replies to the probe.
        Answer,
        /// The handler drops the context of the probe.
        LetGo,
        /// Another client fills the queue, if there is room.
        Fill,
        /// The server goes.
        Gone,
    }
    use Step::*;

    type Probe<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

    /// What the request is, and what has become of it.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum State {
        Idle,
        WaitsForRoom,
        Queued,
        Taken,
        Ended(Outcome),
        /// Told, or left.
        Gone,
    }

    #[expect(
        clippy::struct_excessive_bools,
        reason = "they are independent of each other"
    )]
    struct Model {
        post: bool,
        if_room: bool,
        queue: VecDeque<bool>,
        open: bool,
        state: State,
        /// A handler holds the probe.
        held: bool,
        stats: Stats,
    }

    impl Model {
        fn poll(&mut self) -> Option<Outcome> {
            if matches!(self.state, State::Idle | State::WaitsForRoom) {
                if !self.open {
                    self.stats.refused += 1;
                    self.state = State::Ended(Outcome::ServerDisappeared);
                } else if self.queue.is_empty() {
                    self.queue.push_back(true);
                    self.stats.accepted += 1;
                    self.state = if self.post {
                        State::Ended(Outcome::Sent)
                    } else {
                        State::Queued
                    };
                } else if self.if_room {
                    self.stats.refused += 1;
                    self.state = State::Ended(Outcome::Full);
                } else {
                    self.state = State::WaitsForRoom;
                }
            }
            let State::Ended(outcome) = self.state else {
                return None;
            };
            self.state = State::Gone;
            Some(outcome)
        }

        fn leave(&mut self) {
            match mem::replace(&mut self.state, State::Gone) {
                State::WaitsForRoom => self.stats.refused += 1,
                State::Queued => {
                    self.queue.retain(|probe| !probe);
                    self.stats.cancelled_queued += 1;
                }
                State::Taken => self.stats.cancelled_taken += 1,
                State::Idle | State::Ended(_) | State::Gone => {}
            }
        }

        fn take(&mut self) -> Option<bool> {
            let probe = self.queue.pop_front()?;
            if probe {
                self.held = true;
                if self.state == State::Queued {
                    self.state = State::Taken;
                }
            } else {
                self.stats.replied += 1;
            }
            Some(probe)
        }

        /// Whether the handler's answer finds somebody.
        fn finish(&mut self, outcome: Outcome) -> bool {
            self.held = false;
            if self.post {
                self.stats.replied += 1;
                return true;
            }
            if self.state != State::Taken {
                return false;
            }
            if outcome == Outcome::Reply {
                self.stats.replied += 1;
            } else {
                self.stats.no_reply += 1;
            }
            self.state = State::Ended(outcome);
            true
        }

        fn fill(&mut self) -> bool {
            let room = self.open && self.queue.is_empty();
            if room {
                self.queue.push_back(false);
                self.stats.accepted += 1;
            } else {
                self.stats.refused += 1;
            }
            room
        }

        fn gone(&mut self) {
            self.open = false;
            self.stats.server_disappeared += self.queue.len() as u64;
            self.queue.clear();
            if self.state == State::Queued {
                self.state = State::Ended(Outcome::ServerDisappeared);
            }
        }

        fn stats(&self) -> Stats {
            let mut stats = self.stats;
            stats.queued = self.queue.len() as u64;
            // For a post nobody can leave, so what is held is taken; a request that was left has ended for the books.
            stats.taken = u64::from(self.held && (self.post || self.state == State::Taken));
            stats
        }
    }

    struct Terms {
        post: bool,
        if_room: bool,
        /// The request is in the queue from the start.
        sent: bool,
    }

    fn play(
        steps: &[Step],
        terms: &Terms,
        start: impl for<'a> Fn(&'a Client<Message, Counted, ()>, Message) -> Probe<'a>,
    ) {
        let (server, client): Ends = bounded(1).unwrap();
        let (messages, replies) = (Census::default(), Census::default());
        let message = |probe| Message {
            probe,
            _counted: messages.born(),
        };
        let mut model = Model {
            post: terms.post,
            if_room: terms.if_room,
            queue: VecDeque::new(),
            open: true,
            state: State::Idle,
            held: false,
            stats: Stats::default(),
        };
        if terms.sent {
            assert_eq!(model.poll(), None);
        } else {
            assert!(model.fill());
            client.post(message(false)).wait().unwrap();
        }
        let mut probe = Some(start(&client, message(true)));
        let mut server = Some(server);
        let mut held: Option<ReplyContext<Counted, ()>> = None;
        // What has been started is brought to its end.
        for step in steps.iter().chain(&[Leave, LetGo, Gone]) {
            match step {
                Look => {
                    let Some(future) = &mut probe else { continue };
                    let outcome = match poll_once(future) {
                        Poll::Ready(outcome) => Some(outcome),
                        Poll::Pending => None,
                    };
                    assert_eq!(outcome, model.poll(), "{steps:?}");
                    if outcome.is_some() {
                        probe = None;
                    }
                }
                Leave => {
                    if probe.take().is_some() {
                        model.leave();
                    }
                }
                Take => {
                    let Some(server) = &server else { continue };
                    if held.is_some() && model.queue.front() == Some(&true) {
                        continue;
                    }
                    let taken = server.try_pop().unwrap();
                    assert_eq!(
                        taken.as_ref().map(|(m, _)| m.probe),
                        model.take(),
                        "{steps:?}"
                    );
                    match taken {
                        Some((Message { probe: true, .. }, rctx)) => held = Some(rctx),
                        Some((_, rctx)) => rctx.reply(replies.born()).unwrap(),
                        None => {}
                    }
                }
                Answer => {
                    let Some(rctx) = held.take() else { continue };
                    let found = model.finish(Outcome::Reply);
                    assert_eq!(rctx.is_cancelled(), !found, "{steps:?}");
                    let answer = rctx.answer(Ok(replies.born()));
                    assert_eq!(answer.is_ok(), found, "{steps:?}");
                }
                LetGo => {
                    if held.take().is_some() {
                        model.finish(Outcome::NoReply);
                    }
                }
                Fill => {
                    let sent = client.post(message(false)).if_room().wait();
                    assert_eq!(sent.is_ok(), model.fill(), "{steps:?}");
                }
                Gone => {
                    if server.take().is_some() {
                        model.gone();
                    }
                }
            }
            assert_eq!(client.stats(), model.stats(), "after {step:?} of {steps:?}");
        }
        assert_quiet(client.stats());
        assert_eq!(messages.deaths(), messages.births(), "{steps:?}");
        assert_eq!(replies.deaths(), replies.births(), "{steps:?}");
    }

    fn full(outcome: Result<Counted, RequestError<Message, ()>>) -> Outcome {
        match outcome {
            Ok(_) => Outcome::Reply,
            Err(RequestError::NoReply(_)) => Outcome::NoReply,
            Err(RequestError::ServerDisappeared(message)) => {
                assert!(message.probe);
                Outcome::ServerDisappeared
            }
            Err(RequestError::Full(message)) => {
                assert!(message.probe);
                Outcome::Full
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn plain(outcome: Result<Counted, Error<()>>) -> Outcome {
        match outcome.map(drop) {
            Ok(()) => Outcome::Reply,
            Err(Error::NoReply) => Outcome::NoReply,
            Err(Error::ServerDisappeared) => Outcome::ServerDisappeared,
            Err(other) => panic!("{other:?}"),
        }
    }

    fn posted(outcome: Result<(), SendError<Message>>) -> Outcome {
        match outcome {
            Ok(()) => Outcome::Sent,
            Err(SendError::ServerDisappeared(_)) => Outcome::ServerDisappeared,
            Err(SendError::Full(_)) => Outcome::Full,
            Err(other) => panic!("{other:?}"),
        }
    }

    macro_rules! explore {
        ($($name:ident: $terms:expr, $start:expr;)*) => {$(
            #[test]
            fn $name() {
                let terms = $terms;
                let mut steps = vec![Look, Leave, Take, Answer, Fill, Gone];
                if !terms.post {
                    steps.push(LetGo);
                }
                all_sequences(&steps, 6, |steps| play(steps, &terms, $start));
            }
        )*};
    }

    const PLAIN: Terms = Terms {
        post: false,
        if_room: false,
        sent: false,
    };

    explore! {
        of_an_awaited_request_ends_it_once: PLAIN,
            |c, m| Box::pin(async move { full(c.request(m).await) });
        of_an_awaited_request_with_deadline_ends_it_once: PLAIN,
            |c, m| Box::pin(async move { full(c.request(m).timeout(LONG).await) });
        of_an_awaited_request_if_room_ends_it_once: Terms { if_room: true, ..PLAIN },
            |c, m| Box::pin(async move { full(c.request(m).if_room().await) });
        of_areq_ends_it_once: PLAIN,
            |c, m| Box::pin(async move { plain(c.areq(m).await) });
        of_an_awaited_submit_ends_it_once: PLAIN,
            |c, m| Box::pin(async move {
                match c.request(m).submit().await {
                    Ok(reply) => full(reply.await),
                    Err(error) => full(Err(error.into())),
                }
            });
        of_req_async_ends_it_once: Terms { sent: true, ..PLAIN },
            |c, m| {
                let reply = c.req_async(m).unwrap();
                Box::pin(async move { plain(reply.await) })
            };
        of_a_submitted_request_ends_it_once: Terms { sent: true, ..PLAIN },
            |c, m| {
                let reply = c.request(m).submit().wait().unwrap();
                Box::pin(async move { full(reply.wait_async().await) })
            };
        of_an_awaited_post_ends_it_once: Terms { post: true, ..PLAIN },
            |c, m| Box::pin(async move { posted(c.post(m).await) });
        of_an_awaited_post_with_deadline_ends_it_once: Terms { post: true, ..PLAIN },
            |c, m| Box::pin(async move { posted(c.post(m).timeout(LONG).await) });
    }
}

/// Waiters that are polled, woken and dropped in every order: as long as there is something for them, one of them is awake.
mod no_sequence_of_steps_loses_a_wake_up {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Look(usize),
        Drop(usize),
        /// Polls by `poll_wait`.
        Poller,
        /// Makes something for the waiters (a request, or room).
        Give,
        /// Takes it away.
        Steal,
        /// Makes and takes away by other means.
        Hold,
        Release,
    }
    use Step::*;

    struct Waiting<F> {
        future: Option<F>,
        pending: bool,
        bell: std::sync::Arc<Bell>,
        /// Its rings when it was polled last.
        heard: usize,
    }

    impl<F: Future + Unpin> Waiting<F> {
        fn new() -> Self {
            Self {
                future: None,
                pending: false,
                bell: Bell::new(),
                heard: 0,
            }
        }

        fn poll(&mut self, start: impl FnOnce() -> F) {
            let future = self.future.get_or_insert_with(start);
            self.heard = self.bell.rings();
            self.pending = poll_with(future, &self.bell).is_pending();
            if !self.pending {
                self.future = None;
            }
        }

        fn drop(&mut self) {
            self.future = None;
            self.pending = false;
            assert_eq!(self.bell.wakers(), 0);
        }

        fn is_awake(&self) -> bool {
            self.bell.rings() > self.heard
        }
    }

    /// If there is something, and some wait for it, one of them has to know.
    #[track_caller]
    fn check<F: Future + Unpin>(something: bool, waiting: &[Waiting<F>], steps: &[Step]) {
        let mut waiters = waiting.iter().filter(|w| w.pending).peekable();
        if something && waiters.peek().is_some() {
            assert!(waiters.any(Waiting::is_awake), "{steps:?}");
        }
    }

    fn receivers<'s, F: Future + Unpin>(
        steps: &[Step],
        server: &'s Server<u32, u32, ()>,
        client: &Client<u32, u32, ()>,
        start: impl Fn(&'s Server<u32, u32, ()>) -> F,
    ) {
        let mut waiting: [Waiting<F>; 3] = [Waiting::new(), Waiting::new(), Waiting::new()];
        let poller = Bell::new();
        let mut heard = None;
        let mut held = Vec::new();
        for step in steps {
            match *step {
                Look(k) => waiting[k].poll(|| start(server)),
                Drop(k) => waiting[k].drop(),
                Poller => {
                    heard = Some(poller.rings());
                    let mut polling = poll_fn(|cx| server.poll_wait(cx).map(drop));
                    if poll_with(&mut polling, &poller).is_ready() {
                        heard = None;
                    }
                }
                Give => client.post(1).wait().unwrap(),
                Steal => drop(server.try_pop()),
                Hold => held.push(client.req_async(2).unwrap()),
                Release => drop(held.pop()),
            }
            check(!server.is_empty(), &waiting, steps);
            if let Some(heard) = heard {
                assert!(
                    server.is_empty() || poller.rings() > heard,
                    "the poller: {steps:?}"
                );
            }
        }
        waiting.iter_mut().for_each(Waiting::drop);
        while server.try_pop().unwrap().is_some() {}
    }

    #[test]
    fn of_a_task_in_async_wait() {
        // One that is woken in vain keeps its place, so the same ends serve all sequences.
        let steps = [Look(0), Look(1), Look(2), Drop(0), Drop(1), Give, Steal];
        all_sequences(&steps, 6, |steps| {
            let (server, client) = channel();
            receivers(steps, &server, &client, |server| {
                Box::pin(server.async_wait())
            });
        });
    }

    #[test]
    fn of_a_task_in_a_stream_or_poll_wait() {
        let steps = [Look(0), Look(1), Drop(0), Poller, Give, Hold, Release];
        all_sequences(&steps, 6, |steps| {
            let (server, client) = channel();
            receivers(steps, &server, &client, |server| {
                let mut requests = server.stream();
                poll_fn(move |cx| requests.poll_wait(cx).map(drop))
            });
        });
    }

    fn senders(steps: &[Step]) {
        let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
        let mut waiting = [Waiting::new(), Waiting::new(), Waiting::new()];
        let mut held = Vec::new();
        for step in steps {
            match *step {
                Look(k) => waiting[k].poll(|| client.post(1).into_future()),
                Drop(k) => waiting[k].drop(),
                Give => drop(server.try_pop()),
                Steal => drop(client.post(2).if_room().wait()),
                Hold => held.extend(client.request(3).if_room().submit().wait()),
                Release => drop(held.pop()),
                Poller => unreachable!("for receivers only"),
            }
            check(server.is_empty(), &waiting, steps);
        }
    }

    #[test]
    fn of_a_task_that_waits_for_room() {
        let steps = [Look(0), Look(1), Look(2), Drop(0), Drop(1), Give, Steal];
        all_sequences(&steps, 6, senders);
        let steps = [Look(0), Look(1), Drop(0), Give, Steal, Hold, Release];
        all_sequences(&steps, 6, senders);
    }
}

mod forgetting {
    use super::*;

    #[test]
    fn a_reply_leaves_the_request_in_the_queue() {
        let (server, client) = channel::<Counted, Counted, ()>();
        let (messages, replies) = (Census::default(), Census::default());
        mem::forget(client.req_async(messages.born()).unwrap());
        assert_eq!(server.len(), 1);
        let (message, rctx) = server.wait().unwrap();
        assert!(!rctx.is_cancelled());
        drop(message);
        rctx.reply(replies.born()).unwrap();
        // The reply leaks with the slot that was forgotten.
        assert_eq!((messages.deaths(), replies.deaths()), (1, 0));
        assert_quiet(client.stats());
    }

    #[test]
    fn a_reply_leaves_the_request_to_a_server_that_goes() {
        let (server, client) = channel::<Counted, (), ()>();
        let messages = Census::default();
        mem::forget(client.req_async(messages.born()).unwrap());
        let reply = client.req_async(messages.born()).unwrap();
        drop(server);
        assert_eq!(reply.wait(), Err(Error::ServerDisappeared));
        assert_eq!(messages.deaths(), 1);
        assert_quiet(client.stats());
    }

    #[test]
    fn an_awaited_request_leaves_it_queued_and_is_woken() {
        let (server, client) = channel::<u32, u32, ()>();
        let bell = Bell::new();
        let mut asking = Box::pin(client.request(1).timeout(LONG).into_future());
        assert!(poll_with(&mut asking, &bell).is_pending());
        mem::forget(asking);
        server.wait().unwrap().1.reply(1).unwrap();
        assert_eq!(bell.rings(), 1);
        assert_quiet(client.stats());
    }

    #[test]
    fn a_future_waiting_for_room_leaves_it_to_the_others() {
        let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
        client.post(0).wait().unwrap();
        let mut forgotten = Box::pin(client.post(1).into_future());
        assert!(poll_once(&mut forgotten).is_pending());
        mem::forget(forgotten);
        let bell = Bell::new();
        let mut other = client.post(2).into_future();
        assert!(poll_with(&mut other, &bell).is_pending());
        // The first room is offered to the one that was forgotten, the next one to the other.
        assert_eq!(server.try_pop().unwrap().unwrap().0, 0);
        client.post(3).if_room().wait().unwrap();
        assert_eq!(server.try_pop().unwrap().unwrap().0, 3);
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut other, &bell).is_ready());
        assert_eq!(server.try_pop().unwrap().unwrap().0, 2);
    }

    #[test]
    fn a_receiver_leaves_the_next_request_to_the_others() {
        let (server, client) = channel::<u32, u32, ()>();
        let mut forgotten = Box::pin(server.async_wait());
        assert!(poll_once(&mut forgotten).is_pending());
        mem::forget(forgotten);
        let bell = Bell::new();
        let mut other = Box::pin(server.async_wait());
        assert!(poll_with(&mut other, &bell).is_pending());
        client.post(1).wait().unwrap();
        client.post(2).wait().unwrap();
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut other, &bell).is_ready());
    }

    #[test]
    fn a_context_keeps_its_caller_waiting_until_cancel() {
        let (server, client) = channel::<Counted, u32, ()>();
        let messages = Census::default();
        let reply = client.req_async(messages.born()).unwrap();
        let (message, rctx) = server.wait().unwrap();
        mem::forget(rctx);
        drop(message);
        let reply = reply.try_get().expect_err("nobody will ever answer");
        assert_eq!(client.stats().taken, 1);
        drop(reply);
        assert_eq!(client.stats().cancelled_taken, 1);
        assert_quiet(client.stats());
        let tiny = Duration::from_millis(50);
        let reply = client
            .request(messages.born())
            .timeout(tiny)
            .submit()
            .wait()
            .unwrap();
        if let Some((_, rctx)) = server.try_pop().unwrap() {
            mem::forget(rctx);
        }
        assert!(reply.wait().unwrap_err().is_timeout());
    }

    #[test]
    fn a_cancelled_future_wakes_or_releases_its_waker() {
        let (server, client) = channel::<u32, u32, ()>();
        let bell = Bell::new();
        let reply = client.req_async(1).unwrap();
        let (_, mut rctx) = server.wait().unwrap();
        let mut cancelled = Box::pin(rctx.cancelled());
        assert!(poll_with(&mut cancelled, &bell).is_pending());
        mem::forget(cancelled);
        rctx.reply(2).unwrap();
        assert_eq!((bell.rings(), bell.wakers()), (0, 0));
        assert_eq!(reply.wait(), Ok(2));
    }
}

mod by_drop {
    use super::*;

    #[test]
    fn a_request_cancelled_in_the_queue_never_executes() {
        let (server, client) = channel::<u32, u32, ()>();
        let replies: Vec<_> = (0..100).map(|n| client.req_async(n).unwrap()).collect();
        let kept: Vec<_> = replies
            .into_iter()
            .enumerate()
            .filter_map(|(n, reply)| (n % 3 == 0).then_some((n, reply)))
            .collect();
        assert_eq!(server.len(), kept.len());
        while let Some((n, rctx)) = server.try_pop().unwrap() {
            assert_eq!(n % 3, 0, "nobody waits for it");
            rctx.reply(n + 1).unwrap();
        }
        for (n, reply) in kept {
            assert_eq!(reply.wait(), Ok(u32::try_from(n).unwrap() + 1));
        }
        assert_eq!(client.stats().cancelled_queued, 66);
        assert_quiet(client.stats());
    }

    #[test]
    fn a_request_that_was_cancelled_frees_its_place() {
        let (server, client) = bounded::<u32, u32, ()>(2).unwrap();
        for _ in 0..10 {
            let a = client.req_async(1).unwrap();
            let b = client.req_async(2).unwrap();
            assert!(client.post(3).if_room().wait().is_err());
            drop(a);
            client.post(3).if_room().wait().unwrap();
            assert_eq!(server.try_pop().unwrap().unwrap().0, 2);
            drop(b);
            assert_eq!(server.try_pop().unwrap().unwrap().0, 3);
        }
        assert!(server.is_empty());
    }

    #[test]
    fn any_of_those_in_the_queue_can_be_taken_out() {
        for gone in 0..5 {
            let (server, client) = channel::<u32, u32, ()>();
            let mut replies: Vec<_> = (0..5).map(|n| client.req_async(n).unwrap()).collect();
            drop(replies.remove(gone));
            let order: Vec<_> = (0..4).map(|_| server.wait().unwrap().0).collect();
            let expected: Vec<_> = (0..5).filter(|n| *n as usize != gone).collect();
            assert_eq!(order, expected);
            // And the list is whole: what comes next, comes.
            client.post(9).wait().unwrap();
            assert_eq!(server.wait().unwrap().0, 9);
        }
    }

    #[test]
    fn a_handler_notified_first_still_has_the_message() {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.req_async(1).unwrap();
        let mut batch = Vec::new();
        assert_eq!(server.wait_many(&mut batch, 8).unwrap(), 1);
        drop(reply);
        let (n, rctx) = batch.pop().unwrap();
        assert_eq!(n, 1);
        assert!(rctx.is_cancelled());
        assert_eq!(rctx.reply(2), Err(Error::OriginDisappeared));
    }

    #[test]
    fn a_thread_that_watches_for_it_is_woken() {
        for _ in 0..500 {
            let (server, client) = channel::<u32, u32, ()>();
            let reply = client.req_async(1).unwrap();
            let (_, mut rctx) = server.wait().unwrap();
            thread::scope(|scope| {
                let watching = scope.spawn(move || rctx.wait_cancelled(LONG));
                thread::yield_now();
                drop(reply);
                assert!(watching.join().unwrap());
            });
        }
    }

    #[test]
    fn a_task_that_watches_for_it_is_woken() {
        for _ in 0..500 {
            let (server, client) = channel::<u32, u32, ()>();
            let reply = client.req_async(1).unwrap();
            let (_, mut rctx) = server.wait().unwrap();
            must_watch(move || block_on(rctx.cancelled()), move || drop(reply));
        }
    }

    fn must_watch(watch: impl FnOnce() + Send, event: impl FnOnce()) {
        thread::scope(|scope| {
            let watching = scope.spawn(watch);
            thread::yield_now();
            event();
            eventually(|| watching.is_finished());
            watching.join().unwrap();
        });
    }
}

/// Two threads that start together, again and again, at slightly different times.
fn race<A, B: Send, X, Y: Send>(
    rounds: usize,
    mut make: impl FnMut() -> (A, B),
    left: impl Fn(A) -> X,
    right: impl Fn(B) -> Y + Sync,
    mut check: impl FnMut(X, Y),
) {
    let start = AtomicUsize::new(0);
    // Both have arrived when it is twice the number of rounds.
    let arrive = |round: usize, lag: usize| {
        start.fetch_add(1, Ordering::SeqCst);
        let mut looks = 0;
        while start.load(Ordering::SeqCst) < 2 * (round + 1) {
            looks += 1;
            if looks > 200 {
                thread::yield_now();
            }
        }
        (0..lag).for_each(|_| std::hint::spin_loop());
    };
    thread::scope(|scope| {
        let (give, given) = mpsc::channel::<B>();
        let (tell, told) = mpsc::channel::<Y>();
        let (arrive, right) = (&arrive, &right);
        scope.spawn(move || {
            for (round, b) in given.into_iter().enumerate() {
                arrive(round, round / 16 % 16 * 4);
                if tell.send(right(b)).is_err() {
                    return;
                }
            }
        });
        for round in 0..rounds {
            let (a, b) = make();
            give.send(b).unwrap();
            arrive(round, round % 16 * 4);
            let x = left(a);
            check(x, told.recv().unwrap());
        }
        drop(give);
    });
}

const ROUNDS: usize = 20_000;

mod races {
    use super::*;

    #[test]
    fn of_a_leaving_caller_and_a_reply_lose_nothing() {
        must_end(|| {
            let (server, client) = channel::<u32, Counted, ()>();
            let replies = Census::default();
            let [mut delivered, mut handed_back] = [0, 0];
            race(
                ROUNDS,
                || {
                    let reply = client.req_async(1).unwrap();
                    let (_, rctx) = server.wait().unwrap();
                    ((rctx, replies.born()), reply)
                },
                |(rctx, value)| rctx.answer(Ok(value)),
                drop,
                |answer, ()| match answer {
                    Ok(()) => delivered += 1,
                    Err(Ok(value)) => {
                        assert_eq!(replies.births() - replies.deaths(), 1);
                        drop(value);
                        handed_back += 1;
                    }
                    Err(Err(())) => unreachable!("it was a reply"),
                },
            );
            println!("{delivered} delivered, {handed_back} handed back");
            let stats = client.stats();
            assert_eq!(
                (stats.replied, stats.cancelled_taken),
                (delivered, handed_back)
            );
            assert_eq!(delivered + handed_back, ROUNDS as u64);
            assert_eq!(replies.deaths(), replies.births());
            assert_quiet(stats);
        });
    }

    #[test]
    fn of_a_polling_leaving_caller_and_a_reply_end_once() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            race(
                ROUNDS,
                || {
                    let mut reply = client.req_async(1).unwrap();
                    // A waker in place makes both ends take the slow way.
                    let bell = Bell::new();
                    assert!(poll_with(&mut reply, &bell).is_pending());
                    let (_, rctx) = server.wait().unwrap();
                    (rctx, (reply, bell))
                },
                |rctx| rctx.answer(Ok(7)),
                |(reply, bell)| {
                    let got = reply.try_get().map_err(drop).map(Result::unwrap);
                    (got, bell)
                },
                |answer, (got, bell)| {
                    match got {
                        Ok(value) => assert_eq!((answer, value), (Ok(()), 7)),
                        // It left, before or after the answer.
                        Err(()) => assert!(matches!(answer, Ok(()) | Err(Ok(7)))),
                    }
                    assert_eq!(bell.wakers(), 0);
                    assert!(bell.rings() <= 1);
                },
            );
            assert_quiet(client.stats());
        });
    }

    #[test]
    fn of_a_leaving_caller_and_a_watching_handler_wake() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            race(
                ROUNDS,
                || {
                    let reply = client.req_async(1).unwrap();
                    let (_, rctx) = server.wait().unwrap();
                    (rctx, reply)
                },
                |mut rctx| {
                    let bell = Bell::new();
                    let mut cancelled = rctx.cancelled();
                    if poll_with(&mut cancelled, &bell).is_pending() {
                        eventually(|| bell.rings() == 1);
                        assert!(poll_with(&mut cancelled, &bell).is_ready());
                    }
                },
                drop,
                |(), ()| {},
            );
            assert_eq!(client.stats().cancelled_taken, ROUNDS as u64);
            assert_quiet(client.stats());
        });
    }

    #[test]
    fn of_a_leaving_caller_and_a_take_execute_or_revoke() {
        must_end(|| {
            let (server, client) = channel::<Counted, u32, ()>();
            let messages = Census::default();
            let mut executed = 0;
            race(
                ROUNDS,
                || (client.req_async(messages.born()).unwrap(), ()),
                drop,
                |()| match server.try_pop().unwrap() {
                    Some((message, rctx)) => {
                        drop(message);
                        let _ = rctx.reply(1);
                        true
                    }
                    None => false,
                },
                |(), taken| {
                    executed += u64::from(taken);
                    assert_eq!(messages.deaths(), messages.births());
                },
            );
            println!("{executed} of {ROUNDS} executed");
            let stats = client.stats();
            assert_eq!(stats.cancelled_queued, ROUNDS as u64 - executed);
            assert_eq!(stats.replied + stats.cancelled_taken, executed);
            assert_quiet(stats);
        });
    }

    #[test]
    fn of_leaving_callers_and_a_batch_execute_or_revoke() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            let mut executed = 0;
            race(
                ROUNDS / 4,
                || {
                    let replies: Vec<_> = (0..8).map(|n| client.req_async(n).unwrap()).collect();
                    (replies, ())
                },
                |replies| {
                    // From the middle outwards.
                    let mut replies: Vec<_> = replies.into_iter().map(Some).collect();
                    for place in [4, 3, 5, 2, 6, 1, 7, 0] {
                        replies[place] = None;
                    }
                },
                |()| {
                    let mut batch = Vec::new();
                    // Blocks for ever if there is nothing; a post makes sure that there is something.
                    client.post(8).wait().unwrap();
                    let mut taken = 0;
                    while !batch.iter().any(|(n, _)| *n == 8) {
                        taken += server.wait_many(&mut batch, 4).unwrap();
                    }
                    assert!(batch.is_sorted_by_key(|(n, _)| *n));
                    taken - 1
                },
                |(), taken| executed += taken as u64,
            );
            println!("{executed} executed");
            let stats = client.stats();
            assert_eq!(stats.cancelled_taken + stats.no_reply, executed);
            assert_eq!(stats.cancelled_queued, ROUNDS as u64 / 4 * 8 - executed);
            assert_quiet(stats);
        });
    }

    #[test]
    fn of_a_leaving_caller_and_a_leaving_server_end_once() {
        must_end(|| {
            let messages = Census::default();
            race(
                ROUNDS / 4,
                || {
                    let (server, client) = channel::<Counted, u32, ()>();
                    let reply = client.req_async(messages.born()).unwrap();
                    let other = client.req_async(messages.born()).unwrap();
                    ((reply, other, client), server)
                },
                |(reply, other, client)| {
                    drop(reply);
                    assert_eq!(other.wait(), Err(Error::ServerDisappeared));
                    client
                },
                drop,
                |client, ()| {
                    let stats = client.stats();
                    assert_eq!(stats.cancelled_queued + stats.server_disappeared, 2);
                    assert_quiet(stats);
                    assert_eq!(messages.deaths(), messages.births());
                },
            );
        });
    }

    #[test]
    fn of_a_request_and_a_server_that_goes_end_it_once() {
        must_end(|| {
            let messages = Census::default();
            race(
                ROUNDS / 4,
                || {
                    let (server, client) = channel::<Counted, u32, ()>();
                    ((client, messages.born(), messages.born()), server)
                },
                |(client, blocking, awaited)| {
                    assert_eq!(client.req(blocking), Err(Error::ServerDisappeared));
                    assert_eq!(
                        block_on(client.areq(awaited)),
                        Err(Error::ServerDisappeared)
                    );
                    client
                },
                drop,
                |client, ()| {
                    let stats = client.stats();
                    assert_eq!(stats.refused + stats.server_disappeared, 2);
                    assert_quiet(stats);
                    assert_eq!(messages.deaths(), messages.births());
                },
            );
        });
    }

    #[test]
    fn of_the_last_client_and_a_receiver_always_end_it() {
        must_end(|| {
            race(
                ROUNDS / 4,
                || {
                    let (server, client) = channel::<u32, u32, ()>();
                    let other = client.clone();
                    (client, (server, other))
                },
                |client| {
                    client.post(1).wait().unwrap();
                },
                |(server, other)| {
                    drop(other);
                    assert_eq!(server.wait().unwrap().0, 1);
                    assert_eq!(server.wait().unwrap_err(), Error::ClientsDisappeared);
                },
                |(), ()| {},
            );
        });
    }

    #[test]
    fn of_the_last_client_and_its_revival_end_or_go_on() {
        must_end(|| {
            race(
                ROUNDS / 4,
                || {
                    let (server, client) = channel::<u32, u32, ()>();
                    let weak = client.weak();
                    ((client, server), weak)
                },
                |(client, server)| {
                    drop(client);
                    server
                },
                |weak| weak.upgrade(),
                |server, revived| match revived {
                    Some(client) => {
                        assert!(server.try_pop().unwrap().is_none());
                        client.post(1).wait().unwrap();
                        assert_eq!(server.wait().unwrap().0, 1);
                    }
                    None => assert_eq!(server.wait().unwrap_err(), Error::ClientsDisappeared),
                },
            );
        });
    }

    /// A deadline against a server that takes: executed, or handed back.
    fn deadline_and_take(
        ask: impl Fn(
            &Client<Counted, u32, ()>,
            Counted,
            Instant,
        ) -> Result<u32, RequestError<Counted, ()>>,
    ) {
        let (server, client) = channel::<Counted, u32, ()>();
        let messages = Census::default();
        let [mut replied, mut back, mut late] = [0, 0, 0];
        let mut round = 0;
        race(
            2_000,
            || {
                round += 1;
                // In the past, now, and just ahead.
                let ahead = Duration::from_micros(round % 40 * 2);
                let work = Duration::from_micros(round / 40 % 16 * 4);
                ((messages.born(), ahead), work)
            },
            |(message, ahead)| ask(&client, message, Instant::now() + ahead),
            |work| {
                let until = Instant::now() + Duration::from_micros(100);
                let job = server.wait_deadline(until).unwrap();
                job.map(|(message, rctx)| {
                    drop(message);
                    let done = Instant::now() + work;
                    while Instant::now() < done {}
                    rctx.answer(Ok(1)).is_ok()
                })
            },
            |outcome, executed| {
                match outcome {
                    Ok(1) => {
                        assert_eq!(executed, Some(true));
                        replied += 1;
                    }
                    Err(error) => {
                        let handed_back = matches!(error, RequestError::TimeoutQueued(_));
                        if handed_back {
                            assert_eq!(error.executed(), Executed::No);
                            assert_eq!(executed, None, "executed and handed back");
                            back += 1;
                        } else {
                            assert!(matches!(error, RequestError::TimeoutTaken), "{error:?}");
                            assert_eq!(executed, Some(false), "answered and timed out");
                            late += 1;
                        }
                        assert_eq!(messages.births() - messages.deaths(), handed_back.into());
                    }
                    Ok(other) => panic!("{other}"),
                }
                assert_eq!(messages.deaths(), messages.births());
            },
        );
        println!("{replied} replied, {back} handed back, {late} too late");
        let stats = client.stats();
        assert_eq!((stats.replied, stats.timeout_taken), (replied, late));
        assert_eq!(stats.timeout_queued + stats.refused, back);
        assert_quiet(stats);
    }

    #[test]
    fn of_a_blocking_deadline_and_a_take_end_once() {
        must_end(|| {
            deadline_and_take(|client, message, at| client.request(message).deadline(at).wait());
        });
    }

    #[test]
    fn of_an_awaited_deadline_and_a_take_end_once() {
        must_end(|| {
            deadline_and_take(|client, message, at| block_on(client.request(message).deadline(at)));
        });
    }

    #[test]
    fn of_a_submitted_deadline_and_a_take_end_once() {
        must_end(|| {
            deadline_and_take(|client, message, at| {
                let reply = client.request(message).deadline(at).submit().wait()?;
                reply.wait()
            });
        });
    }

    #[test]
    fn of_an_awaited_reply_deadline_and_a_take_end_once() {
        must_end(|| {
            deadline_and_take(|client, message, at| {
                let reply = client.request(message).deadline(at).submit().wait()?;
                block_on(reply)
            });
        });
    }

    #[test]
    fn of_a_gathered_deadline_and_a_take_end_once() {
        must_end(|| {
            deadline_and_take(|client, message, at| {
                let mut gather = ump::Gather::new();
                gather.push((), client.request(message).deadline(at).submit().wait()?);
                gather.wait().expect("one outcome").1
            });
        });
    }

    #[test]
    fn of_a_deadline_and_room_send_or_return() {
        must_end(|| {
            let messages = Census::default();
            let mut round = 0;
            race(
                2_000,
                || {
                    round += 1;
                    let (server, client) = bounded::<Counted, u32, ()>(1).unwrap();
                    client.post(messages.born()).wait().unwrap();
                    let ahead = Duration::from_micros(round % 40 * 2);
                    ((client, messages.born(), ahead), server)
                },
                |(client, message, ahead)| {
                    let post = client.post(message).timeout(ahead);
                    let sent = if ahead.as_micros() % 4 == 0 {
                        post.wait()
                    } else {
                        block_on(post)
                    };
                    (sent.is_ok(), client)
                },
                |server| {
                    drop(server.try_pop().unwrap().expect("the first"));
                    server
                },
                |(sent, client), server| {
                    let stats = client.stats();
                    assert_eq!(
                        (stats.accepted, stats.refused),
                        if sent { (2, 0) } else { (1, 1) }
                    );
                    while server.try_pop().unwrap().is_some() {}
                    assert_quiet(client.stats());
                    // Nobody is left in line, and there is room.
                    client.post(messages.born()).if_room().wait().unwrap();
                },
            );
            assert_eq!(messages.deaths(), messages.births());
        });
    }

    #[test]
    fn of_two_servers_and_one_request_give_it_to_one() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            race(
                ROUNDS,
                || (client.req_async(1).unwrap(), ()),
                |reply| {
                    let taken = server
                        .try_pop()
                        .unwrap()
                        .map(|(_, rctx)| rctx.reply(1).unwrap());
                    (taken, reply)
                },
                |()| {
                    server
                        .try_pop()
                        .unwrap()
                        .map(|(_, rctx)| rctx.reply(2).unwrap())
                },
                |(first, reply), second| {
                    assert!(first.is_some() != second.is_some());
                    let expected = if first.is_some() { 1 } else { 2 };
                    assert_eq!(reply.try_get().expect("answered"), Ok(expected));
                },
            );
        });
    }
}
