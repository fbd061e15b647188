//! The program `ump-mesh` as a process, and participants in the process of the test.

#![cfg(target_os = "linux")]

mod doctor;
mod list;
mod support;
