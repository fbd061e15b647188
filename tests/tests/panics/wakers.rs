//! Wakers that panic.

mod callers;
mod receivers;
mod senders;

use super::*;

/// Drop counters of messages and replies, and the ends of a channel for them.
type Ends = (Server<Counted, Counted, ()>, Client<Counted, Counted, ()>);

/// Answers queued requests until it is dropped.
struct Answerer {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Answerer {
    fn of(server: &Arc<Server<Counted, Counted, ()>>, replies: &DropCounter) -> Self {
        let (server, replies) = (Arc::clone(server), replies.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                answer_all(&server, &replies);
                thread::yield_now();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer_all(server: &Server<Counted, Counted, ()>, replies: &DropCounter) {
    loop {
        // A panicking waker may unwind the first check.
        match caught(|| server.try_pop()) {
            Ok(Ok(Some((_, rctx)))) => drop(rctx.reply(replies.value())),
            Ok(_) => return,
            Err(_) => {}
        }
    }
}

/// Checks that all requests have ended and all values were dropped once.
#[track_caller]
fn assert_settled(stats: Stats, messages: &DropCounter, replies: &DropCounter) {
    assert_quiet(stats);
    assert_eq!(messages.dropped(), messages.created(), "messages");
    assert_eq!(replies.dropped(), replies.created(), "replies");
}

/// Two panics at once: revoking a request while unwinding would wake another waker that panics.
#[test]
fn two_panics_in_one_call_do_not_abort() {
    let name = "wakers::two_panics_in_one_call_do_not_abort";
    in_its_own_process(name, || {
        must_end(|| {
            let (server, client): Ends = bounded(1).unwrap();
            let server = Arc::new(server);
            let (messages, replies) = (DropCounter::default(), DropCounter::default());
            client.post(messages.value()).wait().unwrap();
            let mut quiet = Box::pin(client.post(messages.value()).into_future());
            let mut sending = Box::pin(client.post(messages.value()).into_future());
            assert!(poll_once(&mut quiet).is_pending());
            assert!(poll_by(&mut sending, &panicking_waker()).is_pending());
            // The first sender is woken and does nothing; the second still waits though there is
            // room.
            answer_all(&server, &replies);
            let mut receiving = Box::pin(server.async_wait());
            assert!(poll_by(&mut receiving, &panicking_waker()).is_pending());
            let answerer = Answerer::of(&server, &replies);
            let _ = caught(|| client.req(messages.value()));
            drop(answerer);
            drop((quiet, sending, receiving));
            assert_settled(client.stats(), &messages, &replies);
        });
    });
}

#[test]
fn a_panicking_payload_spares_other_timers() {
    let name = "wakers::a_panicking_payload_spares_other_timers";
    in_its_own_process(name, || {
        must_end(|| {
            let (_server, client) = channel::<u32, u32, ()>();
            let waker = Hook::on_wake(|| panic_any(PanicsAgain));
            let tiny = Duration::from_millis(50);
            let mut first = client.request(1).timeout(tiny).into_future();
            let _ = poll_by(&mut first, &waker);
            let outcome = block_on(client.request(2).timeout(2 * tiny));
            assert!(matches!(outcome, Err(RequestError::TimeoutQueued(2))));
            let outcome = block_on(client.request(3).timeout(tiny));
            assert!(matches!(outcome, Err(RequestError::TimeoutQueued(3))));
        });
    });
}

#[test]
fn a_panicking_payload_loses_no_request() {
    let name = "wakers::a_panicking_payload_loses_no_request";
    in_its_own_process(name, || {
        let (server, client): Ends = bounded(1).unwrap();
        let (messages, replies) = (DropCounter::default(), DropCounter::default());
        let queued = client.req_async(messages.value()).unwrap();
        let waker = Hook::on_wake(|| panic_any(PanicsAgain));
        let mut sending = client.post(messages.value()).into_future();
        assert!(poll_by(&mut sending, &waker).is_pending());
        answer_all(&server, &replies);
        assert!(queued.is_ready(), "a request was lost in silence");
        assert!(poll_once(&mut sending).is_ready());
        answer_all(&server, &replies);
        drop((queued, sending));
        assert_settled(client.stats(), &messages, &replies);
    });
}
