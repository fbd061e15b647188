//! Commands from the standard input.

use std::io::{self, BufRead, IsTerminal};

use crate::print;

/// Executes each line of the standard input, until its end or `quit`, and prints the answers. Blank
/// lines do nothing. If the standard input is a terminal, prints a prompt.
///
/// # Errors
/// Returns the error of a command, of reading or of printing. After it no command is executed.
pub fn execute_commands(
    mut execute: impl FnMut(String) -> Result<String, String>,
) -> Result<(), String> {
    let is_terminal = io::stdin().is_terminal();
    let prompt = || {
        if is_terminal { print("> ") } else { Ok(()) }
    };
    prompt()?;
    for command in io::stdin().lock().lines() {
        let command = command.map_err(|e| format!("cannot read the standard input: {e}"))?;
        match command.trim() {
            "quit" => return Ok(()),
            "" => {}
            command => print(execute(command.to_owned())? + "\n")?,
        }
        prompt()?;
    }
    Ok(())
}
