//! Which subscriptions a message reaches: patterns in a tree.
