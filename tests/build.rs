//! Finds the test files of the published `ump` 0.13 among the dependencies, so that `tests/published.rs` can compile them against
//! this crate, unchanged.

use std::{env, fmt::Write as _, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.toml");
    let cargo = env::var("CARGO").expect("set by cargo");
    let metadata = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .output()
        .expect("cargo metadata");
    assert!(
        metadata.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let manifest = metadata["packages"]
        .as_array()
        .expect("a list of packages")
        .iter()
        .find(|package| package["name"] == "ump" && package["version"] == "0.13.0")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("the published crate is a dependency of this package");
    let tests = Path::new(manifest)
        .parent()
        .expect("a folder")
        .join("tests");
    let mut modules = String::new();
    for file in fs::read_dir(tests).expect("its tests") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().expect("a name").to_string_lossy();
            let path = path.to_str().expect("a path in UTF-8");
            writeln!(modules, "#[path = {path:?}]\nmod {name};").expect("a string takes it");
        }
    }
    let out = env::var("OUT_DIR").expect("set by cargo");
    fs::write(Path::new(&out).join("published.rs"), modules).expect("written");
}
