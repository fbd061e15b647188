//! Compiles the C of a recipe. Its `main` gets another name, as the tests have one.

fn main() {
    println!("cargo::rerun-if-changed=recipes/from_c.c");
    cc::Build::new().file("recipes/from_c.c").define("main", "from_c").compile("from_c");
}
