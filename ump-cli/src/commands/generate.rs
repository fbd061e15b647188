//! `ump generate`: completions and man pages, for packagers.

use std::{fs, path::PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::{exit::Error, output};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Target {
    /// Writes the completions for a shell to the standard output
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Writes a man page for each sub-command into a folder
    Man {
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}

pub(crate) fn run(target: &Target) -> Result<(), Error> {
    let mut command = Cli::command();
    match target {
        Target::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, "ump", &mut script);
            output::write(&script)
        }
        Target::Man { folder } => {
            let written =
                fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
            written.map_err(|error| {
                Error::usage(format!("cannot write to {}: {error}", folder.display()))
            })
        }
    }
}
