//! Parses any text as an address and, after its first line, as rules. Nothing panics, a parser
//! reads what was written as the same value, and rules that allow a pattern allow each topic that
//! it matches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ump_router::{
    Pattern,
    link::sockets::{Address, Identity, Permission, Rules, Who},
};

const PERMISSIONS: [Permission; 4] = [
    Permission::Publish,
    Permission::Subscribe,
    Permission::Serve,
    Permission::Request,
];

fn identities() -> [Identity; 3] {
    let (uid, gid, pid) = (1, 2, 3);
    let names = vec!["a".to_owned(), "urn:b".to_owned()];
    [
        Identity::Unix { uid, gid, pid },
        Identity::Tls { names },
        Identity::Anonymous { address: None },
    ]
}

fn is_the_same(text: &str) {
    if let Ok(address) = text.parse::<Address>() {
        let again = address.to_string().parse::<Address>();
        assert_eq!(again.ok(), Some(address));
    }
    if let Ok(who) = text.parse::<Who>() {
        assert_eq!(who.to_string().parse::<Who>().as_ref(), Ok(&who));
        let _ = identities().map(|identity| who.matches(&identity));
    }
}

fuzz_target!(|text: &str| {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    is_the_same(first);
    let Ok(rules) = toml::from_str::<Rules>(rest) else {
        return;
    };
    let patterns = ["**", "*", "a/**", "a/*", "*/b", "a/b", "a", ""];
    let patterns = patterns.map(|pattern| pattern.parse::<Pattern>().expect("a pattern"));
    for identity in identities() {
        let _ = rules.quotas_of(&identity);
        for permission in PERMISSIONS {
            let may = |pattern: &Pattern| rules.check(&identity, permission, pattern).is_ok();
            for pattern in patterns.iter().filter(|pattern| may(pattern)) {
                let mut within = patterns.iter().filter(|other| pattern.includes(other));
                assert!(within.all(may), "{pattern}");
            }
        }
    }
});
