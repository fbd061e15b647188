//! Output that ends quietly when its reader has gone.

use std::io::{self, Write};

use serde_json::json;

use super::exit::{Error, Exit};

/// Writes a line to the standard output.
pub(crate) fn print(line: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(format!("{line}\n").as_bytes());
    written
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Error::silent(Exit::Done),
            _ => Error::new(
                Exit::Usage,
                format!("cannot write to the standard output: {error}"),
            ),
        })
}

/// Writes a line to the standard error, for people. Its reader may have gone.
pub(crate) fn note(line: &str) {
    let line = format!("ump-mesh: {line}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Writes the error that ends the program to the standard error.
pub(crate) fn report_error(error: &Error, is_json: bool) {
    if !is_json {
        return note(&error.text);
    }
    let object = json!({"error": error.text, "exit": error.exit as u8});
    let _ = io::stderr()
        .lock()
        .write_all(format!("{object}\n").as_bytes());
}

/// A text of another program, without control characters, which a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            printable.extend(char.escape_default());
        } else {
            printable.push(char);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters_of_others() {
        assert_eq!(printable("a\u{1b}[2J\nä"), "a\\u{1b}[2J\\nä");
    }
}
