//! The topics of keys.

use std::collections::HashMap;

use ump_router::{Pattern, Topic};

/// The module of the service.
#[path = "../../kv/store/topic.rs"]
mod topic;

/// Returns the topic with its prefix.
fn of(key: &str) -> String {
    let topic = format!("{}/{}", topic::PREFIX, topic::of(key));
    assert_eq!(Topic::check(&topic), Ok(()), "{key:?}");
    topic
}

/// Decodes a topic to its key.
fn decoded(topic: &str) -> String {
    let mut encoded = topic.strip_prefix("kv/").expect("the prefix").bytes();
    let mut key = Vec::new();
    while let Some(byte) = encoded.next() {
        if byte == b'%' {
            let mut digit = || char::from(encoded.next()?).to_digit(16);
            let (high, low) = (digit().expect("a digit"), digit().expect("a digit"));
            key.push(u8::try_from(high * 16 + low).expect("a byte"));
        } else {
            key.push(byte);
        }
    }
    String::from_utf8(key).expect("text")
}

#[test]
fn a_topic_is_the_path_of_its_key() {
    for (key, topic) in [
        ("users/42", "kv/users/42"),
        ("users/42/name", "kv/users/42/name"),
        ("greeting", "kv/greeting"),
        ("ä€/日本", "kv/ä€/日本"),
        (".", "kv/."),
        ("a b*", "kv/a%20b%2A"),
        ("100%", "kv/100%25"),
        ("$?#", "kv/%24%3F%23"),
        ("nul\0", "kv/nul%00"),
        ("\u{3000}", "kv/%E3%80%80"),
        ("/", "kv/%2F"),
        ("/a//b/", "kv/%2Fa/%2Fb%2F"),
        ("a//", "kv/a/%2F"),
        ("**", "kv/%2A%2A"),
    ] {
        assert_eq!(of(key), topic, "{key:?}");
    }
}

#[test]
fn each_key_has_its_own_topic_that_decodes_to_it() {
    let alphabet = ["a", "/", "%", "*", " ", "ß", "2F"];
    let mut keys = vec![String::new()];
    let mut seen = HashMap::new();
    for _ in 0..5 {
        let longer = |key: &String| alphabet.map(|piece| format!("{key}{piece}"));
        keys = keys.iter().flat_map(longer).collect();
        for key in &keys {
            let topic = of(key);
            assert_eq!(decoded(&topic), *key);
            if let Some(other) = seen.insert(topic, key.clone()) {
                assert_eq!(other, *key);
            }
        }
    }
}

#[test]
fn slashes_beyond_the_fragment_limit_are_encoded() {
    let key = ["a"; 100].join("/");
    let topic = of(&key);
    assert_eq!(topic.split('/').count(), Topic::MAX_FRAGMENTS);
    assert_eq!(decoded(&topic), key);
    let most = ["a"; Topic::MAX_FRAGMENTS - 1].join("/");
    assert_eq!(of(&most), format!("kv/{most}"));
}

#[test]
fn a_too_long_topic_is_cut_and_ends_in_percent() {
    let longest = "k".repeat(Topic::MAX_LENGTH - 3);
    assert_eq!(of(&longest), format!("kv/{longest}"));
    let longer = "k".repeat(Topic::MAX_LENGTH);
    assert_eq!(
        of(&longer),
        format!("kv/{}%", "k".repeat(Topic::MAX_LENGTH - 4))
    );
    for key in [
        "*".repeat(1024),
        "€".repeat(341),
        "a/".repeat(512),
        format!("users/{}", " ".repeat(1000)),
    ] {
        let topic = of(&key);
        assert!(topic.len() <= Topic::MAX_LENGTH, "{topic}");
        let kept = topic.strip_suffix('%').unwrap_or(&topic);
        assert!(key.starts_with(&decoded(kept)), "{topic}");
    }
    let bucket: Pattern = "kv/users/*".parse().expect("a pattern");
    let topic = of(&format!("users/{}", " ".repeat(1000)));
    assert!(bucket.matches(&topic.parse().expect("a topic")));
}
