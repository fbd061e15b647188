//! The tree that zenoh has for key expressions. It has one value for each of them.

use zenoh_keyexpr::{
    keyexpr,
    keyexpr_tree::{IKeyExprTree, IKeyExprTreeMut, IKeyExprTreeNode, KeBoxTree},
};

use super::{Index, remove_one};

pub(in crate::topics) struct Zenoh(KeBoxTree<Vec<u64>>);

fn parse(text: &str) -> &keyexpr {
    keyexpr::new(text).expect("a key expression")
}

impl Index for Zenoh {
    type Key = ();

    const WILDCARDS: bool = true;

    fn new() -> Self {
        Self(KeBoxTree::new())
    }

    fn insert(&mut self, pattern: &str, value: u64) {
        let pattern = parse(pattern);
        match self.0.weight_at_mut(pattern) {
            Some(values) => values.push(value),
            None => {
                self.0.insert(pattern, vec![value]);
            }
        }
    }

    fn remove(&mut self, pattern: &str, value: u64, (): ()) {
        let pattern = parse(pattern);
        let values = self.0.weight_at_mut(pattern).expect("it is there");
        remove_one(values, value);
        if values.is_empty() {
            self.0.remove(pattern);
        }
    }

    fn tidy(&mut self) {
        self.0.prune();
    }

    fn find(&self, topic: &str, found: impl FnMut(u64)) {
        self.find_pattern(topic, found);
    }

    fn find_pattern(&self, pattern: &str, found: impl FnMut(u64)) {
        let nodes = self.0.intersecting_nodes(parse(pattern));
        let values = nodes.filter_map(IKeyExprTreeNode::weight);
        values.flatten().copied().for_each(found);
    }
}
