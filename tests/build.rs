//! Finds the sources of the published `ump` 0.13 and `ump-server` 0.4 among the dependencies, so
//! that `tests/published.rs` and `tests/published_server.rs` can compile their tests and examples
//! against these crates, unchanged.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.toml");
    let metadata = metadata();
    let channel = source_of(&metadata, "ump", "0.13.0");
    let server = source_of(&metadata, "ump-server", "0.4.1");

    generate("published.rs", &modules_of(&channel.join("tests")));
    let mut modules = modules_of(&server.join("tests"));
    modules += &modules_of(&server.join("examples"));
    for name in ["task", "thread"] {
        modules += &example_of(&server.join("src"), name);
    }
    generate("published_server.rs", &modules);
}

fn metadata() -> serde_json::Value {
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
    serde_json::from_slice(&metadata.stdout).expect("JSON")
}

/// Returns the folder of a package.
fn source_of(metadata: &serde_json::Value, name: &str, version: &str) -> PathBuf {
    let manifest = metadata["packages"]
        .as_array()
        .expect("a list of packages")
        .iter()
        .find(|package| package["name"] == name && package["version"] == version)
        .and_then(|package| package["manifest_path"].as_str())
        .expect("the published crate is a dependency of this package");
    let folder = Path::new(manifest).parent().expect("a folder");
    folder.to_path_buf()
}

/// Returns a module for each Rust file of a folder.
fn modules_of(folder: &Path) -> String {
    let mut modules = String::new();
    for file in fs::read_dir(folder).expect("a folder of the published crate") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().expect("a name").to_string_lossy();
            let path = path.to_str().expect("a path in UTF-8");
            writeln!(modules, "#[path = {path:?}]\npub mod {name};").expect("a string takes it");
        }
    }
    modules
}

/// Returns a test of the example at the top of `name.rs`, which is all of its first block of code.
fn example_of(folder: &Path, name: &str) -> String {
    let source = fs::read_to_string(folder.join(name).with_extension("rs")).expect("a file");
    let code: Vec<&str> = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .skip_while(|line| line.trim() != "```")
        .skip(1)
        .take_while(|line| line.trim() != "```")
        .map(|line| line.trim_start().trim_start_matches("# "))
        .collect();
    assert!(!code.is_empty(), "{name}.rs has no example");
    let code = code.join("\n");
    format!("#[test]\nfn example_of_{name}() {{\n{code}\n}}\n")
}

fn generate(name: &str, modules: &str) {
    let out = env::var("OUT_DIR").expect("set by cargo");
    fs::write(Path::new(&out).join(name), modules).expect("written");
}
