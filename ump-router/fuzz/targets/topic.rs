//! Any text as a topic and as a pattern: no panic, the same text again, and matching that does not
//! depend on which side the wildcards are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ump_router::{Pattern, Topic};

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(2, '\n');
    let (first, second) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let patterns = [first.parse::<Pattern>(), second.parse::<Pattern>()];
    for (text, pattern) in [first, second].iter().zip(&patterns) {
        let topic = text.parse::<Topic>();
        match pattern {
            Ok(pattern) => {
                assert_eq!(pattern.as_str().parse::<Pattern>().as_ref(), Ok(pattern));
                assert_eq!(pattern.as_topic(), topic.as_ref().ok());
                assert!(pattern.intersects(pattern) && pattern.includes(pattern));
            }
            Err(_) => assert!(topic.is_err()),
        }
    }
    if let [Ok(first), Ok(second)] = &patterns {
        let intersect = first.intersects(second);
        assert_eq!(intersect, second.intersects(first));
        let common = first.common_topic(second);
        assert_eq!(intersect, common.is_some());
        if let Some(topic) = common {
            assert!(first.matches(&topic) && second.matches(&topic));
        }
        assert!(intersect || !first.includes(second));
        let are_equal = first.includes(second) && second.includes(first);
        assert_eq!(are_equal, first == second);
        assert!(!first.explain(second).to_string().is_empty());
    }
});
