//! Log records, written off the hot path.
