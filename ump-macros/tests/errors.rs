//! The errors of the attribute `service`: what they say, and at which place.
//!
//! The texts beside the cases are those of the current stable compiler. After an update of the
//! compiler, or a change, write them anew with `TRYBUILD=overwrite`, and read the difference.

#[test]
fn errors_point_at_the_users_line() {
    trybuild::TestCases::new().compile_fail("tests/errors/*.rs");
}
