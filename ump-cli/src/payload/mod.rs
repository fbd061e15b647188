//! Payloads: from the command line and files, and as people and programs read them.

mod cbor;
mod encode;
mod show;
mod text;

pub(crate) use self::{
    encode::{Payload, PayloadArgs, from_output, to_input},
    show::{fields, line},
    text::{one_line, printable},
};
