//! The ways to next hops: a topology, and links that change.

use crate::{process::Scratch, run};

/// Two routers with a next hop each, and one that no link leads to.
const TOPOLOGY: &[u8] = b"\
# our system
self edge
link edge west 10
link west east 10
link edge east 30

network west 192.0.2.0/25
network east 192.0.2.128/25
network west 192.0.2.200/32
network island 198.51.100.0/24
";

/// The same prefix from two neighbours, whose next hops are in the west and in the east; another
/// one, and a part of it with a next hop that cannot be reached.
const ROUTES: &[u8] = b"\
BGP4MP|1|A|192.0.2.201|64497|10.0.0.0/8|64497|IGP|192.0.2.201|100|0||NAG||
BGP4MP|1|A|192.0.2.2|64498|10.0.0.0/8|64498|IGP|192.0.2.2|100|0||NAG||
BGP4MP|1|A|192.0.2.201|64497|11.0.0.0/8|64497|IGP|192.0.2.201|100|0||NAG||
BGP4MP|1|A|198.51.100.1|64499|11.1.0.0/16|64499|IGP|198.51.100.1|900|0||NAG||
BGP4MP|1|A|198.51.100.1|64499|10.0.0.0/8|64499|IGP|198.51.100.1|900|0||NAG||
";

fn answers(topology: &[u8], routes: &[u8], commands: &str) -> Vec<String> {
    let (topology, routes) = (Scratch::new(topology), Scratch::new(routes));
    let arguments = ["--console", "--topology", topology.path(), routes.path()];
    let end = run(&arguments, commands);
    assert_eq!(end.code, Some(0), "{end:?}");
    let (answers, summary) = end.stdout.split_once("lines ").expect("a summary");
    assert!(summary.contains("  igp        0"), "{summary}");
    answers.lines().map(str::to_owned).collect()
}

#[test]
fn the_nearest_next_hop_is_preferred() {
    let answers = answers(
        TOPOLOGY,
        ROUTES,
        "show topology
lookup 10.1.2.3
link edge west 40
lookup 10.1.2.3
link west east down
lookup 10.1.2.3
link edge west 10
link edge west 10
lookup 10.1.2.3
",
    );
    let west = "10.1.2.3 matches 10.0.0.0/8 via 192.0.2.2 from 192.0.2.2, path 64498, preference 100, MED 0";
    let east = "10.1.2.3 matches 10.0.0.0/8 via 192.0.2.201 from 192.0.2.201, path 64497, preference 100, MED 0";
    let expected = [
        "east                 cost 20",
        "edge                 cost 0",
        "island               cannot be reached",
        "west                 cost 10",
        // 192.0.2.201 is in the east, by the longest network.
        &format!("{west}, cost 10; 2 more"),
        "the best path of 1 prefixes has changed",
        &format!("{east}, cost 30; 2 more"),
        "the best path of 0 prefixes has changed",
        &format!("{east}, cost 30; 2 more"),
        "the best path of 1 prefixes has changed",
        "the best path of 0 prefixes has changed",
        &format!("{west}, cost 10; 2 more"),
    ];
    assert_eq!(answers, expected);
}

#[test]
fn a_route_with_an_unresolved_next_hop_is_not_used() {
    let answers = answers(
        TOPOLOGY,
        ROUTES,
        "lookup 11.1.2.3
show routes 11.0.0.0/8
link edge island 5
lookup 11.1.2.3
lookup 10.1.2.3
link edge island down
link edge west down
link edge east down
lookup 11.1.2.3
show routes
",
    );
    let all =
        "11.1.2.3 matches 11.0.0.0/8 via 192.0.2.201 from 192.0.2.201, path 64497, preference 100";
    let expected = [
        // The longest prefix that can be used.
        &format!("{all}, MED 0, cost 20"),
        &format!(
            "{}, MED 0, cost 20",
            all.trim_start_matches("11.1.2.3 matches ")
        ),
        "the best path of 2 prefixes has changed",
        "11.1.2.3 matches 11.1.0.0/16 via 198.51.100.1 from 198.51.100.1, path 64499, preference 900, MED 0, cost 5",
        "10.1.2.3 matches 10.0.0.0/8 via 198.51.100.1 from 198.51.100.1, path 64499, preference 900, MED 0, cost 5; 2 more",
        "the best path of 2 prefixes has changed",
        "the best path of 1 prefixes has changed",
        "the best path of 2 prefixes has changed",
        "11.1.2.3 matches nothing",
        "no routes",
    ];
    assert_eq!(answers, expected);
}

#[test]
fn a_withdrawn_best_path_gives_way_to_the_next_one() {
    // The other one that is withdrawn is the only path to its prefix, and was never used.
    let withdrawn = [
        ROUTES,
        b"BGP4MP|2|W|192.0.2.2|64498|10.0.0.0/8\nBGP4MP|2|W|198.51.100.1|64499|11.1.0.0/16\n",
    ]
    .concat();
    let answers = answers(TOPOLOGY, &withdrawn, "lookup 10.1.2.3\nstats\n");
    assert!(
        answers[0].contains("via 192.0.2.201 from 192.0.2.201"),
        "{answers:?}"
    );
    // By three announcements and one of the withdrawals.
    let changed = "the best one changed 4 times";
    assert!(answers.join("\n").contains(changed), "{answers:?}");
}

#[test]
fn faulty_commands_and_topologies_are_refused() {
    let answers = answers(
        TOPOLOGY,
        ROUTES,
        "link edge north 5\nlink edge west 0\nlink edge edge 7\nshow topology\n",
    );
    let expected = [
        "error: there is no router \"north\" in the topology",
        "error: \"0\" is not a cost from 1 to 4294967295, or down",
        "the best path of 0 prefixes has changed",
        "east                 cost 20",
    ];
    assert_eq!(answers[..4], expected);
    let end = run(&["--console"], "show topology\nlink a b 1\n");
    assert!(
        end.stdout
            .starts_with("error: there is no topology\nerror: there is no topology\n"),
        "{end:?}"
    );
    for (text, message) in [
        ("", "line 1: the first one names our router: self NAME"),
        (
            "# ours\n\nlink a b 1",
            "line 3: the first one names our router",
        ),
        ("self a\nlink a a 1", "line 2: the ends of the link"),
        ("self a\nlink a b -1", "line 2: \"-1\" is not a cost"),
        (
            "self a\nnetwork b 10.0.0.0/33",
            "line 2: \"10.0.0.0/33\" is not a prefix",
        ),
        (
            "self a\nlink a b",
            "line 2: it is not `link A B COST` or `network ROUTER PREFIX`",
        ),
    ] {
        let file = Scratch::new(text.as_bytes());
        let end = run(&["--topology", file.path()], "");
        assert_eq!(end.code, Some(2), "{end:?}");
        assert!(end.stderr.contains(message), "{end:?}");
    }
    let end = run(&["--topology", "/nowhere"], "");
    assert_eq!(end.code, Some(2), "{end:?}");
}
