//! Tasks and threads that sleep until an instant of a manual clock, and their wakers.

use super::*;

#[test]
fn sleepers_wake_in_order_at_their_instants() {
    let clock = ManualClock::new();
    let start = clock.now();
    let log = Arc::new(Mutex::new(Vec::new()));
    let days = [5_u32, 2, 6, 2, 1];
    let sleeps: Vec<_> = (0..)
        .zip(days)
        .map(|(name, day)| {
            let (log, times) = (Arc::clone(&log), clock.clone());
            let waker = Hook::on_wake(move || {
                let day = (times.now() - start).as_secs() / 86_400;
                log.lock().unwrap().push((name, day));
            });
            let mut sleep = clock.clock().sleep_until(start + day * (WEEK / 7));
            let polled = pin!(&mut sleep).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            sleep
        })
        .collect();
    assert_eq!(clock.next_wake(), Some(start + WEEK / 7));
    clock.advance(WEEK);
    assert_eq!(
        *log.lock().unwrap(),
        [(4, 1), (1, 2), (3, 2), (0, 5), (2, 6)]
    );
    assert_eq!((clock.sleepers(), clock.next_wake()), (0, None));
    drop(sleeps);
}

#[test]
fn threads_are_woken_in_the_order_of_their_instants() {
    must_end(|| {
        let clock = ManualClock::new();
        let (woken, order) = mpsc::channel();
        let threads: Vec<_> = [3, 1, 2]
            .into_iter()
            .map(|days| {
                let (clock, woken) = (clock.clock(), woken.clone());
                thread::spawn(move || {
                    clock.wait_until(clock.now() + days * (WEEK / 7));
                    woken.send(days).unwrap();
                })
            })
            .collect();
        clock.wait_for_sleepers(3);
        for days in 1..=3 {
            clock.advance_to(clock.next_wake().expect("somebody sleeps"));
            assert_eq!(order.recv().unwrap(), days);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// Sleeps for a day, and starts the next sleep in the waker, like a task whose executor runs it at
/// once.
fn sleep_by_the_day(clock: &ManualClock, days: &Arc<Mutex<Vec<Sleep>>>) {
    let mut sleep = clock.clock().sleep_until(clock.now() + WEEK / 7);
    let waker = {
        let (clock, days) = (clock.clone(), Arc::clone(days));
        Hook::on_wake(move || {
            assert_eq!(clock.now(), days.lock().unwrap().last().unwrap().deadline());
            sleep_by_the_day(&clock, &days);
        })
    };
    let polled = pin!(&mut sleep).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    days.lock().unwrap().push(sleep);
}

#[test]
fn one_advance_wakes_a_sleeper_again() {
    let clock = ManualClock::new();
    let days = Arc::default();
    sleep_by_the_day(&clock, &days);
    let eighth = clock.now() + 8 * (WEEK / 7);
    clock.advance(WEEK);
    // The sleeps are dropped outside the lock, like their wakers.
    let days = std::mem::take(&mut *days.lock().unwrap());
    assert_eq!((days.len(), clock.next_wake()), (8, Some(eighth)));
}

#[test]
fn a_sleep_that_is_dropped_leaves_nothing_behind() {
    let clock = ManualClock::new();
    let counter = CountingWaker::new();
    let mut sleep = clock.clock().sleep_until(clock.now() + WEEK);
    assert_eq!(clock.sleepers(), 0, "nothing before the first poll");
    assert!(poll_with(&mut sleep, &counter).is_pending());
    assert_eq!((clock.sleepers(), counter.wakers()), (1, 1));
    drop(sleep);
    assert_eq!(
        (clock.sleepers(), counter.wakers(), clock.next_wake()),
        (0, 0, None)
    );
    clock.advance(WEEK);
    assert_eq!(counter.wakes(), 0);
}

#[test]
fn a_sleep_polled_by_another_task_wakes_the_latest() {
    let clock = ManualClock::new();
    let (first, second) = (CountingWaker::new(), CountingWaker::new());
    let mut sleep = clock.clock().sleep_until(clock.now() + WEEK);
    assert!(poll_with(&mut sleep, &first).is_pending());
    assert!(poll_with(&mut sleep, &second).is_pending());
    assert_eq!((clock.sleepers(), first.wakers()), (1, 0));
    clock.advance(WEEK);
    assert_eq!((first.wakes(), second.wakes()), (0, 1));
    assert!(poll_with(&mut sleep, &second).is_ready());
}

#[test]
fn a_sleep_until_a_past_instant_is_ready_at_once() {
    let clock = ManualClock::new();
    assert!(poll_once(&mut clock.clock().sleep_until(clock.now())).is_ready());
    clock.clock().wait_until(clock.now());
    let system = Clock::system();
    assert!(poll_once(&mut system.sleep_until(system.now())).is_ready());
    system.wait_until(system.now());
}

#[test]
fn wakers_may_use_the_clock_in_any_way() {
    must_end(|| {
        let clock = ManualClock::new();
        let counter = CountingWaker::new();
        let mut later = clock.clock().sleep_until(clock.now() + 2 * WEEK);
        assert!(poll_with(&mut later, &counter).is_pending());
        let within = clock.clone();
        let waker = Hook::on_wake(move || {
            assert_eq!(within.sleepers(), 1);
            within.advance(WEEK);
        });
        let mut sleep = clock.clock().sleep_until(clock.now() + WEEK);
        let polled = pin!(&mut sleep).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let end = clock.now() + 2 * WEEK;
        clock.advance(WEEK);
        assert_eq!(
            (counter.wakes(), clock.now()),
            (1, end),
            "time does not go back"
        );
    });
}

#[test]
fn a_waker_that_is_dropped_may_use_the_clock() {
    must_end(|| {
        let clock = ManualClock::new();
        let mut sleep = clock.clock().sleep_until(clock.now() + WEEK);
        let within = clock.clone();
        let waker = Hook::on_drop(move || assert!(within.sleepers() <= 1));
        let polled = pin!(&mut sleep).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert!(poll_once(&mut sleep).is_pending());
        drop(sleep);
    });
}

#[test]
fn a_panicking_waker_does_not_stop_other_wake_ups() {
    let clock = ManualClock::new();
    let counter = CountingWaker::new();
    let until = clock.now() + WEEK;
    let mut first = clock.clock().sleep_until(until);
    let waker = Hook::on_wake(|| std::panic::resume_unwind(Box::new("on purpose")));
    assert!(
        pin!(&mut first)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let mut second = clock.clock().sleep_until(until);
    assert!(poll_with(&mut second, &counter).is_pending());
    clock.advance(WEEK);
    assert_eq!(counter.wakes(), 1);
}

#[test]
fn wait_for_sleepers_returns_when_enough_sleep() {
    must_end(|| {
        let clock = ManualClock::new();
        let mut sleeps: Vec<_> = (1..=3)
            .map(|n| clock.clock().sleep_until(clock.now() + n * WEEK))
            .collect();
        clock.wait_for_sleepers(0);
        let watch = |count| {
            let clock = clock.clone();
            thread::spawn(move || clock.wait_for_sleepers(count))
        };
        let (two, three) = (watch(2), watch(3));
        sleeps[..2].iter_mut().for_each(|sleep| {
            assert!(poll_once(sleep).is_pending());
        });
        two.join().unwrap();
        assert!(!three.is_finished());
        assert!(poll_once(&mut sleeps[2]).is_pending());
        three.join().unwrap();
    });
}
