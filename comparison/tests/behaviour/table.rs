//! The tables in `docs/comparison.md` are those of the sources.

use std::{fmt::Write, fs, path::Path};

use crate::expected::{PROGRAMS, ROWS};

/// The file of each program, and the package that it is about.
const SOURCES: [(&str, &str); PROGRAMS.len()] = [
    ("ump_service", "ump-server"),
    ("tokio_mpsc", "tokio"),
    ("kameo_actor", "kameo"),
    ("actix_actor", "actix"),
    ("ractor_factory", "ractor"),
];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

/// Counts the lines of a program that are neither empty nor comments.
fn lines(file: &str) -> usize {
    let source = read(&format!("comparison/src/programs/{file}.rs"));
    let lines = source.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

/// Returns the newest version of a package in the lock file: there may be the published one of a
/// package of ours as well.
fn version(package: &str) -> String {
    let lock = read("Cargo.lock");
    let mut lines = lock.lines();
    let mut found = None;
    while let Some(line) = lines.next() {
        if line == format!("name = \"{package}\"") {
            found = lines.next();
        }
    }
    let version = found.expect("the package is in the lock file");
    version.split('"').nth(1).unwrap().to_owned()
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    let mut row = "|".to_owned();
    for cell in cells {
        write!(row, " {cell} |").unwrap();
    }
    row
}

fn tables() -> Vec<String> {
    let failure = lines("failure");
    let columns = |first: &str| {
        let cells = PROGRAMS.map(ToOwned::to_owned);
        row([first.to_owned()].into_iter().chain(cells))
    };
    let of_sources = |first: &str, cell: &dyn Fn(&str, &str) -> String| {
        let cells = SOURCES.map(|(file, package)| cell(file, package));
        row([first.to_owned()].into_iter().chain(cells))
    };
    let plumbing = |file: &str, _: &str| match file {
        "ump_service" => format!("**{}**", lines(file)),
        _ => format!("{} + {failure}", lines(file)),
    };
    let mut tables = vec![
        columns(""),
        of_sources("version", &|_, package| version(package)),
        of_sources("program", &|file, _| {
            format!("[{file}](../comparison/src/programs/{file}.rs)")
        }),
        of_sources("lines of plumbing", &plumbing),
    ];
    tables.push(columns("property"));
    for line in &ROWS {
        let ways = line.ways.map(|way| way.to_string());
        tables.push(row([line.property.to_owned()].into_iter().chain(ways)));
    }
    tables
}

#[test]
fn the_documentation_has_these_tables() {
    let page = read("docs/comparison.md");
    let page: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
    let page = page.iter().filter(|line| !line.starts_with("|---"));
    let page: Vec<String> = page.map(|line| (*line).to_owned()).collect();
    let tables = tables();
    assert_eq!(page, tables, "it should be:\n{}", tables.join("\n"));
}
