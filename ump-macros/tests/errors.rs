//! The errors of the attribute `service`: what they say, and at which place.
//!
//! The texts beside the cases are those of the compiler [`COMPILER`]. After an update of the
//! compiler, or a change, write them anew with `TRYBUILD=overwrite`, and read the difference.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    process::Command,
};

/// The compiler that has written the texts.
const COMPILER: &str = "1.95";

#[test]
fn errors_point_at_the_users_line() {
    let writes = env::var_os("TRYBUILD").is_some_and(|value| value == "overwrite");
    match compiler() {
        Some(compiler) if !writes && !is_expected(&compiler) => {
            // Not by `eprintln`, whose output the test harness keeps to itself.
            let _ = writeln!(
                io::stderr(),
                "skipped: the texts in `ump-macros/tests/errors` are those of rustc {COMPILER}, and this is \
                 rustc {compiler}"
            );
        }
        _ => trybuild::TestCases::new().compile_fail("tests/errors/*.rs"),
    }
}

/// Returns the version of the compiler that cargo uses, if it tells: `1.95.0`.
fn compiler() -> Option<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let told = Command::new(rustc).arg("--version").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    told.split_whitespace().nth(1).map(str::to_owned)
}

/// Returns whether it is a release of [`COMPILER`], with any patch level.
fn is_expected(compiler: &str) -> bool {
    let patch = compiler.strip_prefix(COMPILER);
    patch.is_some_and(|patch| patch.starts_with('.') && !patch.contains('-'))
}

#[test]
fn only_releases_of_one_version_are_compared() {
    assert!(is_expected(&format!("{COMPILER}.0")));
    assert!(is_expected(&format!("{COMPILER}.1")));
    for other in ["1.85.0", "1.950.0", "1.95.0-nightly", "1.95"] {
        assert!(!is_expected(other), "{other}");
    }
}
