//! The path of an example.

use std::{env, path::PathBuf};

/// Returns the path of an example, which `cargo test` builds beside its tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test knows where it is");
    let file = format!("examples/{name}{}", env::consts::EXE_SUFFIX);
    test.ancestors()
        .map(|folder| folder.join(&file))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("it is not built: cargo build -p examples --example {name}"))
}
