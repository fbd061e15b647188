//! A client in Python, written from `PROTOCOL.md` alone, as a peer of a router.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::support::{
    Double, Price, SocketPath, await_server, await_subscriber, carrying, next, publish, serve,
};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/links/client.py");

/// A client that runs. It is killed if the test ends before it.
struct Client {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Client {
    /// Starts it, or returns `None` if there is no Python.
    fn start(address: &str, arguments: &[&str]) -> Option<Self> {
        let spawned = Command::new("python3")
            .arg(PROGRAM)
            .arg(address)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("skipped: python3 is not installed");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, stdout })
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Waits until it ends. Returns its exit code, and what else it printed.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), rest.trim().to_owned())
    }

    /// The same, and it has to end well.
    fn rest(self) -> String {
        let (code, rest) = self.end();
        assert_eq!(code, Some(0), "{rest}");
        rest
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_client_in_another_language_does_all_four() {
    let path = SocketPath::new();
    for address in [path.address(), "tcp:127.0.0.1:0".to_owned()] {
        let router = carrying();
        let listener = router.listen(&address).unwrap();
        let address = listener.address().to_string();
        let start = |arguments: &[&str]| Client::start(&address, arguments);

        let serving = serve(&router, "here");
        let Some(client) = start(&["req", "double/here", "21", "30"]) else {
            return;
        };
        assert_eq!(client.rest(), "reply: 42");
        let client = start(&["req", "double/here", "0"]).unwrap();
        assert_eq!(client.end(), (Some(1), "refused: \"zero\"".to_owned()));

        let mut prices = router.subscribe::<Price>("eth/*").unwrap();
        let client = start(&["pub", "price/eth/eur", "3000"]).unwrap();
        assert_eq!(next(&mut prices), Ok(3000));
        assert_eq!(client.rest(), "published to [1]");
        drop(prices);

        // More than its first credit, so that it grants more. What it missed is published again.
        let mut client = start(&["sub", "price/**", "100"]).unwrap();
        await_subscriber(&router, "a/b");
        let mut published = 0;
        let mut publish = |count| {
            for _ in 0..count {
                publish(&router, "a/b", published);
                published += 1;
            }
        };
        publish(100);
        let mut received = 0;
        while received < 100 {
            let line = client.line();
            if let Some(missed) = line.strip_prefix("gap: missed ") {
                publish(missed.parse().unwrap());
            } else {
                assert!(line.starts_with("price/a/b "), "{line}");
                received += 1;
            }
        }
        assert_eq!(client.rest(), "");

        let mut client = start(&["serve", "double/python", "1"]).unwrap();
        assert_eq!(client.line(), "served: accepted");
        await_server(&router, "python");
        // It serves texts, and this is a number.
        let error = router.request("python", Double(1)).wait().unwrap_err();
        assert!(
            error.to_string().contains("a CBOR text is expected"),
            "{error}"
        );
        assert_eq!(client.line(), "request double/python 1");
        assert_eq!(client.rest(), "");

        // A standby is not asked for here, so a second server is refused.
        let second = start(&["serve", "double/here", "1"]).unwrap();
        assert_eq!(
            second.end(),
            (Some(1), "served: taken by another".to_owned())
        );

        router.close();
        assert_eq!(serving.join().unwrap(), 2);
    }
}
