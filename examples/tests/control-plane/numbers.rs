//! The best routes of the speaker without the rest: which numbers their prefixes get.

#[path = "../../control-plane/speaker/best.rs"]
mod best;

use std::{collections::BTreeMap, net::IpAddr};

use best::{Best, Number};
use ipnet::IpNet;
use proptest::prelude::*;

use crate::path::{AsPath, Attributes, Origin, Path, Scope};

fn prefix(number: u8) -> IpNet {
    let address = IpAddr::from([10, number, 0, 0]);
    IpNet::new(address, 16).expect("a prefix")
}

fn path() -> Path {
    let from = IpAddr::from([192, 0, 2, 1]);
    let attributes = Attributes {
        path: AsPath::default(),
        origin: Origin::Igp,
        next_hop: from,
        preference: 100,
        med: 0,
        scope: Scope::Everybody,
    };
    Path::new(from, attributes)
}

#[test]
fn a_number_is_given_away_only_when_nobody_uses_it() {
    let mut best = Best::default();
    let first = best.set(prefix(1), Some(path())).expect("a number");
    assert_eq!(best.set(prefix(1), None), Some(first));
    // A neighbour still has to withdraw it.
    best.free(|number| number == first);
    assert_ne!(best.set(prefix(2), Some(path())), Some(first));
    assert_eq!(best.route(first).prefix, prefix(1));
    best.free(|_| false);
    assert_eq!(best.set(prefix(3), Some(path())), Some(first));
    assert_eq!(best.route(first).prefix, prefix(3));
    // A prefix without a route has no number, and needs none.
    assert_eq!(best.set(prefix(1), None), None);
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, bool),
    /// A neighbour has told these prefixes to its peer, and needs their numbers only if they have a
    /// route.
    Tell(u8),
    Free,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, any::<bool>()).prop_map(|(prefix, has_path)| Step::Set(prefix, has_path)),
        2 => (0..6_u8).prop_map(Step::Tell),
        2 => Just(Step::Free),
    ]
}

proptest! {
    #[test]
    fn a_neighbour_always_finds_the_prefix_it_means(steps in prop::collection::vec(step(), 0..60)) {
        let mut best = Best::default();
        let mut routes = BTreeMap::<IpNet, bool>::new();
        let mut used = BTreeMap::<Number, IpNet>::new();
        for step in steps {
            match step {
                Step::Set(number, has_path) => {
                    let prefix = prefix(number);
                    if let Some(number) = best.set(prefix, has_path.then(path)) {
                        // The bit that says that the prefix has changed.
                        let before = used.insert(number, prefix);
                        prop_assert!(before.is_none_or(|it| it == prefix));
                    }
                    routes.insert(prefix, has_path);
                }
                Step::Tell(number) => {
                    let prefix = prefix(number);
                    if !routes.get(&prefix).is_some_and(|&has_path| has_path) {
                        used.retain(|_, it| *it != prefix);
                    }
                }
                Step::Free => best.free(|number| used.contains_key(&number)),
            }
            for (&number, prefix) in &used {
                prop_assert_eq!(&best.route(number).prefix, prefix);
            }
        }
        // Nothing is left of those that have no route.
        used.clear();
        best.free(|_| false);
        let left = routes.values().filter(|&&has_path| has_path).count();
        prop_assert_eq!(best.numbers().count_ones(..), left);
    }
}
