//! Output that ends quietly when its reader has gone.

mod printer;

use std::io::{self, Write};

use serde_json::json;

pub(crate) use self::printer::{Printer, Written};
use crate::exit::{Error, Exit};

/// Writes a line to the standard output.
pub(crate) fn print(line: &str) -> Result<(), Error> {
    write(format!("{line}\n").as_bytes())
}

/// Writes bytes to the standard output.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| write_error(&error))
}

/// Writes a line to the standard error, for people. Its reader may have gone.
pub(crate) fn note(line: &str) {
    let _ = io::stderr()
        .lock()
        .write_all(format!("ump: {line}\n").as_bytes());
}

/// Returns the error of a failed write: silent if the reader has gone.
fn write_error(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Error::silent(Exit::Done);
    }
    Error::usage(format!("cannot write to the standard output: {error}"))
}

/// Writes the error that ends the command to the standard error.
pub(crate) fn report_error(error: &Error, is_json: bool) {
    if is_json {
        let object = json!({"error": error.text, "exit": error.exit as u8});
        let _ = io::stderr()
            .lock()
            .write_all(format!("{object}\n").as_bytes());
    } else {
        note(&error.text);
    }
}
