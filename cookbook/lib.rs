//! The recipes of `docs/cookbook.md`, compiled and run by `cargo test -p cookbook`.
//!
//! A recipe is a file in `recipes`. The page shows all of it, and nothing else. After an edit,
//! `COOKBOOK=overwrite cargo test -p cookbook page` copies the files into the page.
#![cfg(test)]

mod page;

/// Makes a module of each recipe, and a test that runs its `main`.
macro_rules! recipes {
    ($($name:ident)*) => {
        $(mod $name {
            include!(concat!("recipes/", stringify!($name), ".rs"));

            #[test]
            fn runs() {
                if let Err(error) = main() {
                    panic!("{error:?}");
                }
            }
        })*

        /// The names of the recipes that have a `main`.
        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];
    };
}

recipes! {
    own_a_database
    cache
    rate_limit
    retry
    fan_out
}

/// The names of the recipes that are not run by `main`.
const OTHERS: &[&str] = &[];
