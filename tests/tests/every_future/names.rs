//! Checks that the table is complete, by a search for futures and streams in the sources.

use std::{collections::BTreeSet, fs, path::Path};

use super::table::{APART, table};

#[test]
fn the_table_has_every_future_and_stream() {
    let crates = ["ump", "ump-server", "ump-router"];
    let found: BTreeSet<_> = crates
        .iter()
        .flat_map(|krate| {
            let sources = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(krate)
                .join("src");
            let names = names_within(&sources);
            names
                .into_iter()
                .map(|name| format!("{}::{name}", krate.replace('-', "_")))
        })
        .collect();
    let table = table();
    let names = table.iter().map(|entry| entry.name);
    let known: BTreeSet<_> = names
        .chain(APART.iter().map(|(name, _)| *name))
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    assert!(
        gone.is_empty(),
        "in the table, but not in the sources: {gone:?}"
    );
}

#[test]
fn the_search_finds_what_makes_a_future() {
    let source = "
        /// impl Future for NotThis
        impl<S: Send> Future for One<S> {
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> { Poll::Pending }
        }
        impl Stream for Two {}
        pub async fn three() {}
        pub(crate) async fn not_this() {}
        pub fn poll_four(&self) -> u32 { 4 }
        pub fn five(
            &self,
        ) -> impl Future<Output = ()> {
            fn inner() {}
        }
        pub(crate) fn not_that() -> impl Future<Output = ()> {}
        pub fn nor_this(future: impl Future<Output = ()>) -> u32 { 5 }
        pub fn six() -> Pin<Box<dyn Future<Output = ()>>> { Box::pin(async {}) }
        #[cfg(test)]
        mod tests {
            pub async fn of_a_test() {}
        }
    ";
    let found: BTreeSet<_> = names_in(source).into_iter().collect();
    let expected = ["One", "Two", "five", "poll_four", "six", "three"];
    assert_eq!(Vec::from_iter(found), expected);
}

fn names_within(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            names.extend(names_within(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(names_in(&fs::read_to_string(&path).unwrap()));
        }
    }
    names
}

/// Returns the names of futures and streams in a file, without comments and tests.
fn names_in(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String = code
        .lines()
        .filter(|line| !line.trim().starts_with("//"))
        .flat_map(|line| [line.trim(), " "])
        .collect();
    let mut names = Vec::new();
    for kind in [" Future for ", " Stream for "] {
        names.extend(code.split(kind).skip(1).map(identifier));
    }
    names.extend(code.split("pub async fn ").skip(1).map(identifier));
    for function in code.split("pub fn ").skip(1) {
        let signature = function.split(['{', ';']).next().unwrap_or_default();
        let returned = signature
            .rsplit_once("->")
            .map_or("", |(_, returned)| returned);
        let is_future = ["impl Future", "impl Stream", "dyn Future", "dyn Stream"]
            .iter()
            .any(|kind| returned.contains(kind));
        if function.starts_with("poll_") || is_future {
            names.push(identifier(function));
        }
    }
    names
}

fn identifier(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}
