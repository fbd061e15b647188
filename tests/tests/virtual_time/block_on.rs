//! `Clock::block_on` by both clocks.

use super::*;

#[test]
fn block_on_drives_a_future_until_its_deadline() {
    let manual = ManualClock::new();
    let clock = manual.clock();
    let (start, deadline) = (clock.now(), clock.now() + WEEK);
    let driver = thread::spawn(move || {
        // The first future completes, because its waker is woken. The second never completes, so
        // the call ends at the deadline.
        let slept = clock.block_on(clock.sleep_until(start + NEARLY), Some(deadline));
        slept.expect("in time").unwrap();
        let never = clock.block_on(std::future::pending::<()>(), Some(deadline));
        (never, clock.now())
    });
    manual.wait_for_sleepers(2);
    manual.advance(NEARLY);
    manual.wait_for_sleepers(1);
    manual.advance(MOMENT);
    assert_eq!(driver.join().unwrap(), (None, start + WEEK));
}

#[test]
fn a_ready_result_is_found_after_the_deadline() {
    let manual = ManualClock::new();
    let clock = manual.clock();
    let past = Some(clock.now());
    assert_eq!(clock.block_on(std::future::ready(1), past), Some(1));
    assert_eq!(clock.block_on(std::future::pending::<u32>(), past), None);
}

#[test]
fn block_on_polls_whenever_woken() {
    let manual = ManualClock::new();
    let deadline = manual.clock().now() + WEEK;
    for (clock, deadline) in [
        (Clock::system(), None),
        (manual.clock(), None),
        (manual.clock(), Some(deadline)),
    ] {
        let is_ready = Arc::new(AtomicBool::new(false));
        let (polled, polls) = mpsc::channel();
        let look = Arc::clone(&is_ready);
        let driver = thread::spawn(move || {
            let future = poll_fn(|cx| {
                polled.send(cx.waker().clone()).unwrap();
                if look.load(Ordering::SeqCst) {
                    return Poll::Ready(());
                }
                Poll::Pending
            });
            clock.block_on(future, deadline)
        });
        must_end(move || {
            // The first call only checks whether there is something to wait for.
            polls.recv().unwrap();
            polls.recv().unwrap().wake();
            let in_vain = polls.recv().unwrap();
            is_ready.store(true, Ordering::SeqCst);
            in_vain.wake();
            assert_eq!(driver.join().unwrap(), Some(()));
        });
    }
}
