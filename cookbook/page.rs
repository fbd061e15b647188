//! `docs/cookbook.md` shows the files of the recipes, whole and unchanged.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

/// The longest recipe, in lines that are not empty.
const LONGEST: usize = 40;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cookbook.md")
}

/// Returns the text of each recipe, by its file's name.
fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            // A checkout on Windows may have other ends of lines.
            (name, fs::read_to_string(path).unwrap().replace("\r\n", "\n"))
        })
        .collect()
}

/// Splits the page at its code, and returns it with the code of the files in place: in front of
/// each block is a link to its file.
fn with_code_of(files: &BTreeMap<String, String>, page: &str) -> (String, Vec<String>) {
    let mut shown = Vec::new();
    let mut out = String::new();
    let mut lines = page.lines();
    let mut file = None;
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if let Some((_, rest)) = line.split_once("(../cookbook/recipes/") {
            file = rest.split_once(')').map(|(name, _)| name.to_owned());
        }
        if line.starts_with("```") {
            let name = file.take().unwrap_or_else(|| panic!("no file for the code after {out}"));
            let code = files.get(&name).unwrap_or_else(|| panic!("no file {name}"));
            let end = lines.by_ref().find(|line| line.starts_with("```"));
            assert_eq!(end, Some("```"), "the end of {name}");
            out.push_str(code);
            out.push_str("```\n");
            shown.push(name);
        }
    }
    (out, shown)
}

#[test]
fn page_shows_the_files() {
    let files = files();
    let old = fs::read_to_string(page()).unwrap().replace("\r\n", "\n");
    let (new, mut shown) = with_code_of(&files, &old);
    shown.sort_unstable();
    assert_eq!(shown, files.into_keys().collect::<Vec<_>>());
    if env::var_os("COOKBOOK").is_some_and(|how| how == "overwrite") {
        fs::write(page(), new).unwrap();
    } else {
        assert!(old == new, "after an edit: COOKBOOK=overwrite cargo test -p cookbook page");
    }
}

#[test]
fn no_recipe_is_long() {
    for (name, code) in files() {
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= LONGEST, "{name} has {lines} lines");
        let longest = code.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(100), "{name} has a line of {longest:?}");
        assert!(!code.contains("unwrap()") && !code.contains("expect("), "{name}");
        assert!(!code.contains("thread::sleep"), "{name}");
    }
}

#[test]
fn every_file_is_compiled() {
    for name in files().into_keys() {
        let (stem, kind) = name.split_once('.').unwrap();
        let runs = super::PROGRAMS.contains(&stem) || super::OTHERS.contains(&stem);
        assert!(runs && matches!(kind, "rs" | "c"), "{name} is not in lib.rs");
    }
}
