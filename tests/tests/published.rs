//! The test files of the published `ump` 0.13, unchanged, compiled against this crate. See
//! `build.rs`.
#![allow(missing_docs, clippy::all, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/published.rs"));
