//! The program for two terminals in the README.

#[path = "../../examples/two-terminals.rs"]
#[allow(dead_code, reason = "it is compiled, and not run here")]
mod two_terminals;

#[test]
fn the_readme_has_the_program_for_two_terminals() {
    let program = include_str!("../../examples/two-terminals.rs");
    let shown = format!("```rust,ignore\n{program}```\n");
    let readme = include_str!("../../README.md");
    // A checkout on Windows may have other ends of lines.
    let plain = |text: &str| text.replace("\r\n", "\n");
    assert!(
        plain(readme).contains(&plain(&shown)),
        "show this:\n{program}"
    );
}
