//! Tells the program which compiler made it.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = env::var_os("RUSTC").expect("set by cargo");
    let version = Command::new(compiler)
        .arg("--version")
        .output()
        .expect("the compiler runs");
    let version = String::from_utf8(version.stdout).expect("text");
    println!("cargo::rustc-env=COMPILER={}", version.trim());
}
