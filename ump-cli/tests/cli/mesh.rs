//! `ump mesh`: finding the program of another package.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// A folder with `ump` alone.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let (own, there) = (env!("CARGO_BIN_EXE_ump"), folder.path("ump"));
        // A symbolic link would be followed to where there are other programs.
        if fs::hard_link(own, &there).is_err() {
            fs::copy(own, &there).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Adds a program that prints its arguments, in place of `ump-mesh`.
    fn add_mesh(&self) {
        let echo = ["/bin/echo", "/usr/bin/echo"].map(Path::new);
        let echo = echo.into_iter().find(|path| path.exists()).unwrap();
        symlink(echo, self.path("ump-mesh")).unwrap();
    }

    fn ump(&self, line: &str, search: &Path) -> Output {
        let mut ump = Command::new(self.path("ump"));
        ump.args(line.split(' ')).env("PATH", search);
        ump.output().unwrap()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_program_beside_ump_gets_the_arguments() {
    let folder = Folder::new();
    folder.add_mesh();
    let nowhere = folder.path("nowhere");
    for (line, expected) in [
        ("mesh ls --domain a", "ls --domain a\n"),
        ("mesh doctor --help", "doctor --help\n"),
        ("ls --mesh --wait 1s", "ls --wait 1s\n"),
        ("--json doctor --mesh", "--json doctor\n"),
        ("doctor --mesh --json", "doctor --json\n"),
    ] {
        let output = folder.ump(line, &nowhere);
        let printed = text(&output.stdout);
        assert_eq!(
            (printed, output.status.code()),
            (expected, Some(0)),
            "{line}"
        );
    }
}

#[test]
fn the_program_is_found_in_the_search_path() {
    let (folder, other) = (Folder::new(), Folder::new());
    other.add_mesh();
    let output = folder.ump("ls --mesh", other.0.path());
    assert_eq!(
        (text(&output.stdout), output.status.code()),
        ("ls\n", Some(0))
    );
}

#[test]
fn without_the_program_it_says_how_to_install_it() {
    let folder = Folder::new();
    let output = folder.ump("doctor --mesh", folder.0.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("cargo install --path ump-mesh"),
        "{output:?}"
    );
    let output = folder.ump("--json mesh ls", folder.0.path());
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((output.status.code(), &error["exit"]), (Some(2), &2.into()));
}
