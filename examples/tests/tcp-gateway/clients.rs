//! The real clients: `redis-cli` and `redis-benchmark`.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use crate::{
    process::KillOnDrop,
    support::{Gateway, TIMEOUT, is_installed, start},
};

/// Runs a client of Redis, with this standard input.
fn run(program: &str, gateway: &Gateway, arguments: &[&str], input: &str) -> Output {
    let child = Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &gateway.address.port().to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = KillOnDrop(child.expect("it is installed"));
    let mut stdin = child.0.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let status = child.wait(program, TIMEOUT);
    let mut output = Output {
        status,
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    let streams = (child.0.stdout.take(), child.0.stderr.take());
    let (Some(mut stdout), Some(mut stderr)) = streams else {
        panic!("there are pipes");
    };
    std::io::copy(&mut stdout, &mut output.stdout).expect("it can be read");
    std::io::copy(&mut stderr, &mut output.stderr).expect("it can be read");
    output
}

fn cli(gateway: &Gateway, arguments: &[&str], input: &str) -> String {
    let output = run("redis-cli", gateway, arguments, input);
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{stdout} {stderr}");
    assert_eq!(stderr, "");
    stdout.into_owned()
}

#[test]
fn redis_cli_runs_scripts() {
    if !is_installed("redis-cli") {
        return;
    }
    let (_folder, gateway) = start(&[]);
    assert_eq!(cli(&gateway, &["PING"], ""), "PONG\n");
    assert_eq!(cli(&gateway, &["SET", "a", "hello world"], ""), "OK\n");
    assert_eq!(
        cli(&gateway, &["--no-raw", "GET", "a"], ""),
        "\"hello world\"\n"
    );
    assert_eq!(cli(&gateway, &["--no-raw", "GET", "b"], ""), "(nil)\n");
    let script =
        "SET n 41\nINCR n\nMGET n a none\nDEL n none\nEXISTS n a\nNONSENSE\nSELECT 0\nQUIT\n";
    let expected = "OK\n(integer) 42\n1) \"42\"\n2) \"hello world\"\n3) (nil)\n(integer) 1\n\
                    (integer) 1\n(error) ERR unknown command 'NONSENSE'\nOK\n";
    assert_eq!(cli(&gateway, &["--no-raw"], script), expected);
    assert_eq!(cli(&gateway, &["-x", "SET", "lines"], "one\ntwo\n"), "OK\n");
    assert_eq!(cli(&gateway, &["GET", "lines"], ""), "one\ntwo\n\n");
    // In a pipeline without a look at the replies.
    let many: String = (0..3000).fold(String::new(), |all, n| all + &format!("SET mass:{n} {n}\n"));
    let report = cli(&gateway, &["--pipe"], &many);
    assert!(report.contains("errors: 0, replies: 3000"), "{report}");
    let keys = cli(&gateway, &["--scan", "--pattern", "mass:*"], "");
    assert_eq!(keys.lines().count(), 3000);
    assert_eq!(cli(&gateway, &["DBSIZE"], ""), "3002\n");
    assert!(cli(&gateway, &["INFO"], "").contains("connected_clients:1"));
}

#[test]
fn redis_benchmark_runs() {
    if !is_installed("redis-benchmark") {
        return;
    }
    let (_folder, gateway) = start(&["--workers", "2"]);
    for arguments in [
        &["-n", "2000", "-c", "20"][..],
        &["-n", "20000", "-c", "50", "-P", "16", "-r", "1000"],
    ] {
        let arguments = [arguments, &["-q", "-t", "ping,get,set,incr"]].concat();
        let output = run("redis-benchmark", &gateway, &arguments, "");
        let [stdout, stderr] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success(), "{stdout} {stderr}");
        assert_eq!(stderr, "");
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"] {
            let result = format!("{test}: ");
            assert!(stdout.contains(&result), "{test} in {stdout}");
        }
        assert!(stdout.contains("requests per second"), "{stdout}");
    }
}
