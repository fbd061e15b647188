//! A request that is polled by hand while the server takes, replies, drops or ends, and the queue
//! fills: against a model.

use super::*;

struct Message {
    probe: bool,
    _counted: Counted,
}

type Ends = (Server<Message, Counted, ()>, Client<Message, Counted, ()>);

/// The outcome of the request for its caller.
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
    /// The server takes the next request. If the request is the probe, its context is held;
    /// otherwise the request is answered.
    Take,
    /// The handler replies to the probe.
    Answer,
    /// The handler drops the context of the probe.
    LetGo,
    /// Another client fills the queue, if there is room.
    Fill,
    /// The server is dropped.
    Gone,
}
use Step::*;

type Probe<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// The kind of the request and its state.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    WaitsForRoom,
    Queued,
    Taken,
    Ended(Outcome),
    /// The caller has its outcome, or has left.
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

    /// Whether the handler's reply is accepted.
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
        // A post has no caller that can leave, so a held one counts as taken. A request whose
        // caller left has ended.
        stats.taken = u64::from(self.held && (self.post || self.state == State::Taken));
        stats
    }
}

struct Options {
    post: bool,
    if_room: bool,
    /// The request is in the queue from the start.
    sent: bool,
}

fn play(
    steps: &[Step],
    options: &Options,
    start: impl for<'a> Fn(&'a Client<Message, Counted, ()>, Message) -> Probe<'a>,
) {
    let (server, client): Ends = bounded(1).unwrap();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let message = |probe| Message {
        probe,
        _counted: messages.value(),
    };
    let mut model = Model {
        post: options.post,
        if_room: options.if_room,
        queue: VecDeque::new(),
        open: true,
        state: State::Idle,
        held: false,
        stats: Stats::default(),
    };
    if options.sent {
        assert_eq!(model.poll(), None);
    } else {
        assert!(model.fill());
        client.post(message(false)).wait().unwrap();
    }
    let mut probe = Some(start(&client, message(true)));
    let mut server = Some(server);
    let mut held: Option<ReplyContext<Counted, ()>> = None;
    // The last three steps end the probe, its context and the server.
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
                    Some((_, rctx)) => rctx.reply(replies.value()).unwrap(),
                    None => {}
                }
            }
            Answer => {
                let Some(rctx) = held.take() else { continue };
                let found = model.finish(Outcome::Reply);
                assert_eq!(rctx.is_cancelled(), !found, "{steps:?}");
                let answer = rctx.answer(Ok(replies.value()));
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
    assert_eq!(messages.dropped(), messages.created(), "{steps:?}");
    assert_eq!(replies.dropped(), replies.created(), "{steps:?}");
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
    ($($name:ident: $options:expr, $start:expr;)*) => {$(
        #[test]
        fn $name() {
            let options = $options;
            let mut steps = vec![Look, Leave, Take, Answer, Fill, Gone];
            if !options.post {
                steps.push(LetGo);
            }
            all_sequences(&steps, 6, |steps| play(steps, &options, $start));
        }
    )*};
}

const PLAIN: Options = Options {
    post: false,
    if_room: false,
    sent: false,
};

explore! {
    of_an_awaited_request_ends_it_once: PLAIN,
        |c, m| Box::pin(async move { full(c.request(m).await) });
    of_an_awaited_request_with_deadline_ends_it_once: PLAIN,
        |c, m| Box::pin(async move { full(c.request(m).timeout(LONG).await) });
    of_an_awaited_request_if_room_ends_it_once: Options { if_room: true, ..PLAIN },
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
    of_req_async_ends_it_once: Options { sent: true, ..PLAIN },
        |c, m| {
            let reply = c.req_async(m).unwrap();
            Box::pin(async move { plain(reply.await) })
        };
    of_a_submitted_request_ends_it_once: Options { sent: true, ..PLAIN },
        |c, m| {
            let reply = c.request(m).submit().wait().unwrap();
            Box::pin(async move { full(reply.wait_async().await) })
        };
    of_an_awaited_post_ends_it_once: Options { post: true, ..PLAIN },
        |c, m| Box::pin(async move { posted(c.post(m).await) });
    of_an_awaited_post_with_deadline_ends_it_once: Options { post: true, ..PLAIN },
        |c, m| Box::pin(async move { posted(c.post(m).timeout(LONG).await) });
}
