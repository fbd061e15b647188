//! A hub in the process of the test, and the command as a process.

mod hub;
mod process;

pub(crate) use self::{
    hub::{Double, Hub, Price},
    process::{LIMIT, Ran, Ump, run, run_with_input, serve},
};
