//! Models of the bus between end-points: no wake-up is lost, and no message is.
#![cfg(loom)]

use loom::{
    sync::{Arc, Notify},
    thread,
};
use loom_tests::{explore, explore_large};
use ump_server::bus::{Bus, Endpoint};

/// Sets a callback that ends a wait.
fn notified(endpoint: &Endpoint<u32>) -> Arc<Notify> {
    let notify = Arc::new(Notify::new());
    let called = Arc::clone(&notify);
    endpoint.on_message(move || called.notify());
    notify
}

/// Takes messages until there are `count`. Waits only for the callback.
fn take(endpoint: &Endpoint<u32>, notify: &Notify, count: usize) -> Vec<u32> {
    let mut all = Vec::new();
    let mut taken = Vec::new();
    while all.len() < count {
        notify.wait();
        endpoint.take(&mut taken);
        all.append(&mut taken);
    }
    all
}

#[test]
fn a_receiver_that_sleeps_is_woken() {
    explore(|| {
        let bus = Bus::new(2, 4);
        let [a, b] = [0, 1].map(|number| bus.endpoint(number));
        let notify = notified(&b);
        let sending = thread::spawn(move || {
            a.send(1, 1).unwrap();
            a.send(1, 2).unwrap();
        });
        assert_eq!(take(&b, &notify, 2), [1, 2]);
        sending.join().unwrap();
    });
}

#[test]
fn messages_of_two_senders_arrive() {
    explore_large(|| {
        let bus = Bus::new(3, 4);
        let b = bus.endpoint(2);
        let notify = notified(&b);
        let sending = [(0, 0), (1, 10)].map(|(number, first)| {
            let endpoint = bus.endpoint(number);
            thread::spawn(move || {
                let mut messages = vec![first, first + 1];
                assert_eq!(endpoint.send_all(2, &mut messages), 2);
            })
        });
        let all = take(&b, &notify, 4);
        for own in [[0, 1], [10, 11]] {
            let of: Vec<_> = all.iter().copied().filter(|n| own.contains(n)).collect();
            assert_eq!(of, own, "in order");
        }
        for sending in sending {
            sending.join().unwrap();
        }
    });
}

#[test]
fn a_callback_set_late_is_called_for_earlier_messages() {
    explore(|| {
        let bus = Bus::new(2, 4);
        let [a, b] = [0, 1].map(|number| bus.endpoint(number));
        let sending = thread::spawn(move || a.send(1, 1).unwrap());
        let notify = notified(&b);
        assert_eq!(take(&b, &notify, 1), [1]);
        sending.join().unwrap();
    });
}
