//! Which texts are topics or patterns, and the errors of the others.

use proptest::prelude::*;
use ump_router::{
    Pattern, Topic, TopicError, TopicErrorKind as Kind,
    topic::{IntoPattern, IntoTopic},
};

use crate::{pattern, topic};

fn error(text: &str) -> TopicError {
    text.parse::<Pattern>().unwrap_err()
}

#[test]
fn an_error_has_a_reason_and_a_position() {
    for (text, kind, position) in [
        ("/", Kind::EmptyFragment, 0),
        ("/a", Kind::EmptyFragment, 0),
        ("a/", Kind::EmptyFragment, 2),
        ("a//b", Kind::EmptyFragment, 2),
        ("**//b", Kind::EmptyFragment, 3),
        ("a/b*", Kind::PartOfFragment, 3),
        ("a/*b", Kind::PartOfFragment, 2),
        ("***", Kind::PartOfFragment, 0),
        ("a$", Kind::Character('$'), 1),
        ("a/?", Kind::Character('?'), 2),
        ("#", Kind::Character('#'), 0),
        ("é/a b", Kind::Character(' '), 4),
        ("a\u{a0}b", Kind::Character('\u{a0}'), 1),
        ("a/\u{0}", Kind::Character('\0'), 2),
        ("a/\u{85}", Kind::Character('\u{85}'), 2),
        ("a\n", Kind::Character('\n'), 1),
    ] {
        let error = error(text);
        assert_eq!(
            (error.kind(), error.position()),
            (kind, position),
            "{text:?}"
        );
        if kind != Kind::PartOfFragment {
            assert_eq!(text.parse::<Topic>().unwrap_err(), error);
            assert_eq!(Topic::check(text).unwrap_err(), error);
        }
    }
}

#[test]
fn an_invisible_character_is_refused_in_its_place() {
    for (found, name) in [
        ('\u{feff}', "byte-order mark"),
        ('\u{200b}', "zero-width space"),
        ('\u{200d}', "zero-width joiner"),
        ('\u{200e}', "bidirectional mark"),
        ('\u{202e}', "bidirectional mark"),
        ('\u{2066}', "bidirectional mark"),
        ('\u{61c}', "bidirectional mark"),
        ('\u{ad}', "soft hyphen"),
        ('\u{2060}', "word joiner"),
        ('\u{fe0f}', "variation selector"),
        ('\u{e0041}', "tag character"),
        ('\u{115f}', "invisible character"),
    ] {
        for (before, after) in [("", "price"), ("é/price", ""), ("*/p", "e/x")] {
            let error = error(&format!("{before}{found}{after}"));
            assert_eq!(error.kind(), Kind::Character(found));
            assert_eq!(error.position(), before.len(), "{error}");
            let text = error.to_string();
            let escaped = format!("'{}' ({name}) is not allowed at", found.escape_unicode());
            assert!(text.starts_with(&escaped), "{text}");
            assert!(
                text.ends_with(": remove it, because nobody sees it"),
                "{text}"
            );
        }
    }
}

#[test]
fn visible_characters_of_all_scripts_are_allowed() {
    for text in [
        "größe/µ",
        "价格/黄金",
        "цена/золото",
        "السعر/ذهب",
        "कीमत/सोना",
        "価格/金",
        "🦀/😀",
        "e\u{301}",
    ] {
        assert!(text.parse::<Topic>().is_ok(), "{text}");
    }
}

#[test]
fn an_error_text_names_the_character() {
    for (text, begins) in [
        ("a b", "' ' (space) is not allowed at byte 1"),
        ("a\tb", "'\\t' (tab) is not allowed at byte 1"),
        (
            "a\u{a0}b",
            "'\\u{a0}' (no-break space) is not allowed at byte 1",
        ),
        (
            "a\u{3000}b",
            "'\\u{3000}' (white space) is not allowed at byte 1",
        ),
        ("a$", "'$' is not allowed at byte 1"),
    ] {
        let text = error(text).to_string();
        assert!(text.starts_with(begins), "{text}");
    }
    let deep = Topic::check("a/**").unwrap_err().to_string();
    assert!(
        deep.starts_with("wildcard '**' in a topic at byte 2"),
        "{deep}"
    );
}

#[test]
fn a_topic_has_no_wildcards() {
    for (text, position) in [("*", 0), ("a/**", 2), ("a/*/b/**", 2)] {
        let error = Topic::try_from(text).unwrap_err();
        assert_eq!(
            (error.kind(), error.position()),
            (Kind::Wildcard, position),
            "{text:?}"
        );
    }
}

#[test]
fn limits_are_exact_and_the_error_points_behind_them() {
    let bytes = |count| "é".repeat(count / 2) + &"a".repeat(count % 2);
    assert!(bytes(Topic::MAX_LENGTH).parse::<Topic>().is_ok());
    let long = error(&bytes(Topic::MAX_LENGTH + 1));
    assert_eq!(long.kind(), Kind::TooLong(Topic::MAX_LENGTH));
    assert_eq!(long.position(), Topic::MAX_LENGTH);
    // A character that only partly fits is beyond the limit.
    assert_eq!(
        error(&format!("a{}", bytes(Topic::MAX_LENGTH))).position(),
        Topic::MAX_LENGTH - 1
    );

    let wild = |count: usize| format!("*/{}", "a".repeat(count - 2));
    assert!(wild(Pattern::MAX_LENGTH).parse::<Pattern>().is_ok());
    let long = error(&wild(Pattern::MAX_LENGTH + 1));
    assert_eq!(long.kind(), Kind::TooLong(Pattern::MAX_LENGTH));
    assert_eq!(long.position(), Pattern::MAX_LENGTH);

    let fragments = |count| vec!["a"; count].join("/");
    assert!(fragments(Topic::MAX_FRAGMENTS).parse::<Pattern>().is_ok());
    let many = error(&fragments(Topic::MAX_FRAGMENTS + 1));
    assert_eq!(many.kind(), Kind::TooManyFragments(Topic::MAX_FRAGMENTS));
    assert_eq!(many.position(), 2 * Topic::MAX_FRAGMENTS);

    let wild = |count: usize| fragments(count - 1) + "/*";
    assert!(wild(Pattern::MAX_FRAGMENTS).parse::<Pattern>().is_ok());
    for count in [Pattern::MAX_FRAGMENTS + 1, Topic::MAX_FRAGMENTS] {
        let many = error(&wild(count));
        assert_eq!(many.kind(), Kind::TooManyFragments(Pattern::MAX_FRAGMENTS));
        assert_eq!(many.position(), 2 * Pattern::MAX_FRAGMENTS);
    }
}

#[test]
fn an_error_text_shows_the_position_and_a_remedy() {
    assert_eq!(
        error("price//eur").to_string(),
        r#"empty fragment at byte 6, between "price/" and "/eur": write a name there, or leave out a slash"#
    );
    assert_eq!(
        error("a/").to_string(),
        r#"empty fragment at byte 2, after "a/": write a name there, or leave out a slash"#
    );
    assert_eq!(
        error("\u{7}").to_string(),
        r#"'\u{7}' (control character) is not allowed at byte 0, before "\u{7}": write a character other than $, ?, #, white space and control characters"#
    );
    assert_eq!(
        error("a*/b").to_string(),
        r#"'*' is not alone in its fragment at byte 1, between "a" and "*/b": write * for one whole fragment, or ** for any number of fragments"#
    );
    assert_eq!(
        Topic::check("a/*").unwrap_err().to_string(),
        r#"wildcard '*' in a topic at byte 2, between "a/" and "*": write the name of one topic"#
    );
}

#[test]
fn an_error_keeps_only_the_text_around_its_position() {
    let text = format!("{}#{}", "é".repeat(300), "ü".repeat(100));
    let error = error(&text);
    assert_eq!(error.position(), 600);
    let (before, after) = error.around();
    assert_eq!(before, "é".repeat(20));
    assert_eq!(after, format!("#{}", "ü".repeat(19)));
    assert!(text.repeat(1000).parse::<Topic>().is_err());
}

#[test]
fn every_constructor_validates() {
    let owned = String::from("a/b");
    assert_eq!("a/b".into_topic().unwrap(), topic("a/b"));
    assert_eq!((&owned).into_topic().unwrap(), topic("a/b"));
    assert_eq!((&owned).into_pattern().unwrap(), pattern("a/b"));
    assert_eq!(owned.into_topic().unwrap(), topic("a/b"));
    assert!("a/*".into_topic().is_err());
    assert!(String::from("a//b").into_pattern().is_err());
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "[a-c/*é$ ]{0,12}|\\PC{0,20}") {
        match text.parse::<Pattern>() {
            Ok(pattern) => {
                prop_assert_eq!(pattern.as_str().parse::<Pattern>(), Ok(pattern.clone()));
                prop_assert_eq!(Topic::check(&text).is_ok(), pattern.is_concrete());
            }
            Err(error) => {
                let (before, after) = error.around();
                prop_assert!(text[..error.position()].ends_with(before));
                prop_assert!(text[error.position()..].starts_with(after));
            }
        }
    }
}
