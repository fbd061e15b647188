//! `ump mesh`: runs the program `ump-mesh`, which is a package of its own.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::ErrorKind,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::exit::Error;

/// The name of the program.
const PROGRAM: &str = "ump-mesh";

/// The sub-commands that may be written as `ump COMMAND --mesh`.
const OF_MESH: [&str; 2] = ["ls", "doctor"];

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// A command of `ump-mesh`, such as ls or doctor, with its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    arguments: Vec<OsString>,
}

/// Replaces this process by the program: that beside this one, or else that of the search path.
pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent);
    let beside = beside.map(|folder| folder.join(PROGRAM));
    let program = beside.filter(|path| path.is_file());
    let program = program.unwrap_or_else(|| PathBuf::from(PROGRAM));
    let mut command = Command::new(&program);
    if is_json {
        command.arg("--json");
    }
    let error = command.args(&options.arguments).exec();
    Err(match error.kind() {
        ErrorKind::NotFound => Error::usage(format!(
            "{PROGRAM} is neither beside this program nor in PATH: cargo install --path ump-mesh --features cli"
        )),
        _ => Error::usage(format!("cannot run {}: {error}", program.display())),
    })
}

/// Writes `ump ls --mesh` as `ump mesh ls`, and leaves other command lines as they are.
pub(crate) fn in_place_of_option(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_option = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let command = arguments.iter().skip(1).position(|it| !is_option(it));
    let Some(command) = command.map(|nth| nth + 1) else {
        return arguments;
    };
    if !OF_MESH.map(OsStr::new).contains(&&*arguments[command]) {
        return arguments;
    }
    // What follows `--` is no option.
    let mut options = arguments.iter().skip(command).take_while(|it| *it != "--");
    if let Some(nth) = options.position(|it| it == "--mesh") {
        arguments.remove(command + nth);
        arguments.insert(command, "mesh".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_mesh_is_the_command_mesh() {
        for (line, expected) in [
            ("ump ls --mesh", "ump mesh ls"),
            (
                "ump --json doctor --domain a --mesh --wait 1s",
                "ump --json mesh doctor --domain a --wait 1s",
            ),
            ("ump ls", "ump ls"),
            ("ump", "ump"),
            ("ump --json", "ump --json"),
            ("ump doctor -- --mesh", "ump doctor -- --mesh"),
            ("ump pub ls --text --mesh", "ump pub ls --text --mesh"),
            ("ump mesh ls --mesh", "ump mesh ls --mesh"),
        ] {
            let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(in_place_of_option(words(line)), words(expected), "{line}");
        }
    }
}
