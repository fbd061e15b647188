//! The interfaces of the system, and the routes to their networks.

use std::process::Command;

use crate::{process::Scratch, run};

#[test]
fn the_networks_of_interfaces_are_routes() {
    // No interface has an address in 240.0.0.0/4, which is reserved. The next hop of 192.0.2.1 is
    // in the network of an interface; another neighbour cannot take over that network.
    let topology = Scratch::new(b"self edge\nnetwork island 198.51.100.0/24\n");
    let routes = Scratch::new(
        b"BGP4MP|1|A|192.0.2.1|64497|240.1.0.0/16|64497|IGP|127.0.0.9|100|0||NAG||\n\
          BGP4MP|1|A|192.0.2.1|64497|127.0.0.0/8|64497|IGP|127.0.0.9|4000000000|0||NAG||\n",
    );
    let (topology, routes) = (topology.path(), routes.path());
    let commands = "lookup 127.1.2.3\nlookup 240.1.2.3\n";
    let arguments = ["--console", "--connected", "--topology", topology, routes];
    let end = run(&arguments, commands);
    assert_eq!(end.code, Some(0), "{end:?}");
    let expected = "\
127.1.2.3 matches 127.0.0.0/8 via 127.0.0.1 from 127.0.0.1, path (empty), preference 4294967295, MED 0, cost 0; 1 more
240.1.2.3 matches 240.1.0.0/16 via 127.0.0.9 from 192.0.2.1, path 64497, preference 100, MED 0, cost 0
";
    assert!(end.stdout.starts_with(expected), "{end:?}");
    // Without the option they are not.
    let arguments = ["--console", "--topology", topology, routes];
    let end = run(&arguments, commands);
    let expected = "127.1.2.3 matches nothing\n240.1.2.3 matches nothing\n";
    assert!(end.stdout.starts_with(expected), "{end:?}");
}

#[test]
fn the_console_shows_what_ip_shows() {
    let Ok(output) = Command::new("ip").args(["-o", "address", "show"]).output() else {
        println!("skipped: ip is not installed");
        return;
    };
    let end = run(&["--console"], "show interfaces\n");
    assert_eq!(end.code, Some(0), "{end:?}");
    let shown: Vec<_> = end
        .stdout
        .lines()
        .map_while(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let [name, "up" | "down", address] = words[..] else {
                return None;
            };
            Some((name.to_owned(), address.to_owned()))
        })
        .collect();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut expected: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let name = words.next()?;
            let family = words.next()?;
            let address = words.next()?;
            // A point-to-point interface has the network of its peer.
            (family.starts_with("inet") && words.next() != Some("peer"))
                .then(|| (name.to_owned(), address.to_owned()))
        })
        .collect();
    expected.retain(|it| !shown.contains(it));
    assert_eq!(expected, [], "not in {shown:?}");
    assert!(!shown.is_empty(), "{end:?}");
}
