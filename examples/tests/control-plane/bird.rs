//! Sessions with a real neighbour: BIRD, on loopback.

use std::{
    env,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    plane::{Plane, eventually, ports},
    process::{Folder, KillOnDrop, Scratch, signal},
};

/// Finds a program, also where only root looks by default. `None`, and a line of output, if it is
/// not installed.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|it| it.is_file());
    if found.is_none() {
        println!("skipped: {name} is not installed");
    }
    found
}

/// A BIRD with a configuration, and its control socket.
struct Bird {
    programs: [PathBuf; 2],
    folder: Folder,
    process: Option<KillOnDrop>,
}

impl Bird {
    /// Starts it. `None` if it is not installed.
    fn start(config: &str) -> Option<Self> {
        let programs = [find("bird")?, find("birdc")?];
        let folder = Folder::new();
        fs::write(folder.path().join("bird.conf"), config).expect("a file can be made");
        let mut bird = Self {
            programs,
            folder,
            process: None,
        };
        bird.run();
        Some(bird)
    }

    fn run(&mut self) {
        let file = |name: &str| self.folder.path().join(name);
        let child = Command::new(&self.programs[0])
            .arg("-f")
            .arg("-c")
            .arg(file("bird.conf"))
            .arg("-s")
            .arg(file("ctl"))
            .arg("-P")
            .arg(file("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("bird starts");
        self.process = Some(KillOnDrop(child));
        eventually("bird listens for commands", || {
            let output = self.execute("show status");
            output
                .contains("up and running")
                .then_some(())
                .ok_or(output)
        });
    }

    /// Kills it, without any farewell.
    fn kill(&mut self) {
        self.process = None;
    }

    fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("it runs");
        signal(process.0.id(), name);
    }

    /// Executes a command of its console.
    fn execute(&self, command: &str) -> String {
        let output = Command::new(&self.programs[1])
            .arg("-s")
            .arg(self.folder.path().join("ctl"))
            .args(command.split(' '))
            .stdin(Stdio::null())
            .output()
            .expect("birdc runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Returns the configuration of a BIRD in this system, with static routes.
fn config(
    (local, neighbor): (SocketAddr, SocketAddr),
    system: u32,
    (hold, options): (u32, &str),
    routes: &[String],
) -> String {
    let mut config = "router id 10.0.0.2;\nprotocol device { }\n".to_owned();
    for (name, table, is_v6) in [("s4", "ipv4", false), ("s6", "ipv6", true)] {
        let _ = writeln!(config, "protocol static {name} {{\n  {table};");
        for route in routes.iter().filter(|route| route.contains(':') == is_v6) {
            let _ = writeln!(config, "  route {route} blackhole;");
        }
        config.push_str("}\n");
    }
    let _ = write!(
        config,
        "protocol bgp plane {{
           local {} port {} as {system};
           neighbor {} port {} as 64496;
           multihop;
           hold time {hold}; connect retry time 1; connect delay time 1; error wait time 1, 2;
           {options}
         }}",
        local.ip(),
        local.port(),
        neighbor.ip(),
        neighbor.port(),
    );
    config
}

const BOTH: &str = "\
ipv4 { import all; export where source = RTS_STATIC; next hop self; };
ipv6 { import all; export where source = RTS_STATIC; next hop address 2001:db8::2; };";

/// Starts a BIRD in 4200000001 on 127.0.0.2, and a control plane in 64496.
fn start(hold: u32, routes: &[String], file: &Scratch) -> Option<(Bird, Plane)> {
    let [theirs] = ports("127.0.0.2")?;
    let [ours] = ports("127.0.0.1")?;
    let local = SocketAddr::new([127, 0, 0, 2].into(), theirs);
    let neighbor = SocketAddr::new([127, 0, 0, 1].into(), ours);
    let config = config((local, neighbor), 4_200_000_001, (hold, BOTH), routes);
    let bird = Bird::start(&config)?;
    let plane = Plane::start(&[
        "--local-as",
        "64496",
        "--router-id",
        "192.0.2.1",
        "--listen",
        &neighbor.to_string(),
        "--neighbor",
        &format!("{local},4200000001,next-hop=2001:db8::1"),
        file.path(),
    ]);
    Some((bird, plane))
}

fn owned(routes: &[&str]) -> Vec<String> {
    routes.iter().map(|&route| route.to_owned()).collect()
}

/// Routes of the neighbours of a file.
const ROUTES: &[u8] = b"\
BGP4MP|1|A|192.0.2.9|64500|10.50.0.0/16|64500 64501|IGP|192.0.2.9|100|0||NAG||
BGP4MP|1|A|2001:db8::9|64500|2001:db8:50::/48|64500|IGP|2001:db8::9|100|0||NAG||
BGP4MP|1|A|192.0.2.9|64500|10.51.0.0/16|64500 4200000001|IGP|192.0.2.9|100|0||NAG||
";

#[test]
fn routes_are_exchanged_with_bird() {
    let routes = owned(&["10.1.0.0/24", "10.2.0.0/16", "2001:db8:1::/48"]);
    let file = Scratch::new(ROUTES);
    let Some((mut bird, mut plane)) = start(9, &routes, &file) else {
        return;
    };
    let answer = plane.wait_for("show neighbours", "3 routes in, 2 out");
    assert!(answer.contains("AS 4200000001 established"), "{answer}");
    let answer = plane.execute("lookup 10.1.0.7");
    assert!(
        answer.contains("10.1.0.0/24 via 127.0.0.2 from 127.0.0.2, path 4200000001"),
        "{answer}"
    );
    let answer = plane.execute("lookup 2001:db8:1::7");
    assert!(
        answer.contains("2001:db8:1::/48 via 2001:db8::2"),
        "{answer}"
    );

    // What BIRD has. The route that has passed its system is not among it.
    let has = |bird: &Bird, route: &str, path: &str| {
        eventually(route, || {
            let answer = bird.execute(&format!("show route {route} all"));
            answer.contains(path).then_some(()).ok_or(answer)
        });
    };
    has(&bird, "10.50.0.0/16", "BGP.as_path: 64496 64500 64501");
    has(&bird, "2001:db8:50::/48", "BGP.next_hop: 2001:db8::1");
    let answer = bird.execute("show route 10.51.0.0/16");
    assert!(answer.contains("Network not found"), "{answer}");

    // It withdraws routes, and announces them again.
    bird.execute("disable s4");
    plane.wait_for("lookup 10.1.0.7", "matches nothing");
    plane.wait_for("show neighbours", "1 routes in, 2 out");
    bird.execute("enable s4");
    plane.wait_for("lookup 10.1.0.7", "10.1.0.0/24");
    // It requests all routes again.
    bird.execute("reload in plane");
    has(&bird, "10.50.0.0/16", "BGP.as_path: 64496 64500 64501");

    // It ends the session, and restarts.
    bird.execute("disable plane");
    plane.wait_for("lookup 10.1.0.7", "matches nothing");
    plane.wait_for("show neighbours", "received administrative shutdown");
    bird.execute("enable plane");
    plane.wait_for("lookup 10.1.0.7", "10.1.0.0/24");

    // The operator stops the session, and starts it again.
    plane.execute("stop 127.0.0.2");
    plane.wait_for("show neighbours", "idle");
    eventually("bird knows why", || {
        let answer = bird.execute("show protocols all plane");
        let is_known = answer.contains("Received: Administrative shutdown");
        is_known.then_some(()).ok_or(answer)
    });
    plane.execute("start 127.0.0.2");
    plane.wait_for("lookup 10.1.0.7", "10.1.0.0/24");
    plane.execute("refresh 127.0.0.2");
    plane.execute("reset 127.0.0.2");
    plane.wait_for("show neighbours", "sent administrative reset (6/4)");
    plane.wait_for("lookup 10.1.0.7", "10.1.0.0/24");

    // It is killed, and starts again.
    bird.kill();
    plane.wait_for("lookup 10.1.0.7", "matches nothing");
    bird.run();
    plane.wait_for("show neighbours", "3 routes in, 2 out");
    has(&bird, "10.50.0.0/16", "BGP.as_path: 64496 64500 64501");

    let summary = plane.quit();
    assert!(summary.contains("sessions\n  127.0.0.2 "), "{summary}");
    eventually("bird knows why", || {
        let answer = bird.execute("show protocols all plane");
        answer
            .contains("Administrative shutdown")
            .then_some(())
            .ok_or(answer)
    });
    let answer = bird.execute("show route 10.50.0.0/16");
    assert!(answer.contains("Network not found"), "{answer}");
}

#[test]
fn a_silent_bird_loses_its_session() {
    let routes = owned(&["10.1.0.0/24"]);
    let file = Scratch::new(b"");
    let Some((bird, mut plane)) = start(3, &routes, &file) else {
        return;
    };
    plane.wait_for("lookup 10.1.0.7", "10.1.0.0/24");
    bird.signal("STOP");
    plane.wait_for("show neighbours", "sent hold timer expired (4/0)");
    plane.wait_for("lookup 10.1.0.7", "matches nothing");
    bird.signal("CONT");
    plane.wait_for("lookup 10.1.0.7", "10.1.0.0/24");
    let summary = plane.quit();
    assert!(!summary.contains(" 0 expired"), "{summary}");
}

#[test]
fn a_bird_with_two_octets_speaks_over_ipv6() {
    let Some([theirs, ours]) = ports("::1") else {
        println!("skipped: there is no IPv6");
        return;
    };
    let local = SocketAddr::new("::1".parse().unwrap(), theirs);
    let neighbor = SocketAddr::new("::1".parse().unwrap(), ours);
    let options = "enable as4 off; \
                   ipv6 { import all; export where source = RTS_STATIC; next hop self; };";
    let routes = owned(&["2001:db8:1::/48"]);
    let config = config((local, neighbor), 64_497, (9, options), &routes);
    let Some(bird) = Bird::start(&config) else {
        return;
    };
    // The path has a system that needs four octets.
    let file = Scratch::new(
        b"BGP4MP|1|A|2001:db8::9|4200000009|2001:db8:50::/48|4200000009 64501|IGP|2001:db8::9|100|0||NAG||\n",
    );
    let mut plane = Plane::start(&[
        "--local-as",
        "64496",
        "--router-id",
        "192.0.2.1",
        "--listen",
        &neighbor.to_string(),
        "--neighbor",
        &format!("{local},64497"),
        file.path(),
    ]);
    // BIRD's next hop is our own address, which is no way to anywhere.
    plane.wait_for("show neighbours", "AS 64497      established");
    eventually("the route", || {
        let answer = bird.execute("show route 2001:db8:50::/48 all");
        // BIRD puts the real system back in.
        let path = "BGP.as_path: 64496 4200000009 64501";
        answer.contains(path).then_some(()).ok_or(answer)
    });
    plane.quit();
}

#[test]
fn ten_thousand_routes_travel_both_ways() {
    let prefix = |first: u8, number: u32| {
        let [.., high, low] = number.to_be_bytes();
        format!("{first}.{high}.{low}.0/24")
    };
    let theirs: Vec<_> = (0..10_000).map(|number| prefix(11, number)).collect();
    let mut ours = String::new();
    for number in 0..10_000 {
        let (prefix, med) = (prefix(12, number), number % 7);
        let _ = writeln!(
            ours,
            "BGP4MP|1|A|192.0.2.9|64500|{prefix}|64500|IGP|192.0.2.9|100|{med}||NAG||"
        );
    }
    let file = Scratch::new(ours.as_bytes());
    let Some((bird, mut plane)) = start(90, &theirs, &file) else {
        return;
    };
    plane.wait_for("show neighbours", "10000 routes in, 10000 out");
    let count = |bird: &Bird, expected: &str| {
        eventually(expected, || {
            let answer = bird.execute("show route count protocol plane");
            answer.contains(expected).then_some(()).ok_or(answer)
        });
    };
    count(&bird, "10000 of ");
    bird.execute("disable s4");
    plane.wait_for("show neighbours", "0 routes in, 10000 out");
    bird.execute("enable s4");
    plane.wait_for("show neighbours", "10000 routes in, 10000 out");
    let summary = plane.quit();
    assert!(
        summary.contains("20000 paths") || summary.contains("routes     20000 of IPv4"),
        "{summary}"
    );
    count(&bird, "0 of ");
}
