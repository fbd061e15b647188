//! How requests are balanced over the instances of a component.

use std::collections::HashSet;

use ump_server::system::{Attributes, Balancer, System};

use crate::support::{LONG, Log, On, Op, Probes, hold, on_each_kind};

on_each_kind! {
    round_robin_gives_each_its_turn
    a_key_always_has_the_same_instance
    least_loaded_is_chosen_and_equals_take_turns
    ended_instances_are_passed_over
}

type Spreading = Balancer<Op, u64, &'static str>;

fn three(on: On) -> (System, Spreading) {
    let attributes = Attributes::new().instances(3);
    let probes = Probes::new(&Log::default());
    let builder = on.add(System::builder(), "a", attributes, probes);
    let system = builder.start(LONG).wait().unwrap();
    let spread = system.balancer("a").unwrap();
    (system, spread)
}

/// Returns the number of requests that each instance has had.
fn counts(spread: &Spreading) -> Vec<u64> {
    let instances = spread.instances().iter();
    instances.map(|client| client.stats().accepted).collect()
}

fn round_robin_gives_each_its_turn(on: On) {
    let (_system, spread) = three(on);
    let clone = spread.clone();
    for n in 0..30 {
        let one = if n % 2 == 0 { &spread } else { &clone };
        assert_eq!(one.next().req(Op::Echo(n)), Ok(n));
    }
    assert_eq!(counts(&spread), [10, 10, 10]);
}

fn a_key_always_has_the_same_instance(on: On) {
    let (system, spread) = three(on);
    let again: Spreading = system.balancer("a").unwrap();
    for key in ["a", "b", "c", "d"] {
        spread.by_key(key).req(Op::Echo(0)).unwrap();
        let before = counts(&spread);
        again.by_key(key).req(Op::Echo(0)).unwrap();
        let after = counts(&spread);
        let chosen: Vec<_> = (0..3).filter(|&i| before[i] != after[i]).collect();
        assert_eq!(chosen.len(), 1);
        assert!(before[chosen[0]] > 0, "it has been there before");
    }
}

fn least_loaded_is_chosen_and_equals_take_turns(on: On) {
    let (_system, spread) = three(on);
    // With a request in hand its queue is empty, but it still has more to do than the others.
    let go = hold(&spread.instances()[0]);
    let chosen: HashSet<_> = (0..4)
        .map(|_| std::ptr::from_ref(spread.least_loaded()) as usize)
        .collect();
    let others = spread.instances()[1..].iter();
    let others = others.map(|client| std::ptr::from_ref(client) as usize);
    assert_eq!(chosen, others.collect());
    drop(go);
}

fn ended_instances_are_passed_over(on: On) {
    let (_system, spread) = three(on);
    let closed = &spread.instances()[1];
    assert_eq!(closed.req(Op::End), Ok(0));
    while !closed.is_closed() {
        std::thread::yield_now();
    }
    for n in 0..10 {
        assert_eq!(spread.next().req(Op::Echo(n)), Ok(n));
        assert_eq!(
            spread.least_loaded().req(Op::Echo(n)),
            Ok(n),
            "an empty queue is no merit then"
        );
    }
}
