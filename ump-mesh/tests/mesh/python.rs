//! A program in Python with `eclipse-zenoh` takes part. Skipped where that is not installed.

use std::process::{Command, Stdio};

use crate::support::{Member, Price, Process, config, domain, eventually, next, serve};

fn has_zenoh() -> bool {
    let mut python = Command::new("python3");
    let import = python.args(["-c", "import zenoh"]);
    let import = import.stdout(Stdio::null()).stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success())
}

#[test]
fn a_python_program_takes_part() {
    if !has_zenoh() {
        return println!("skipped: no eclipse-zenoh for python3 here (pip install eclipse-zenoh)");
    }
    let domain = domain();
    let member = Member::join(config(&domain));
    let mut prices = member.router.subscribe::<Price>("eth/*").unwrap();
    let serving = serve(&member.router, "a");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mesh/client.py");
    let mut python = Command::new("python3");
    python.args([program, &domain, &ump_mesh::group(&domain)]);
    let mut python = Process::run(python);
    assert_eq!(python.line("reply "), "8");
    assert_eq!(next(&mut prices), Ok(3));
    assert_eq!(python.line("listening"), "");
    eventually("its token is seen", || {
        member.router.has_subscribers::<Price>("btc").unwrap()
    });
    crate::support::publish(&member.router, "btc", 5);
    assert_eq!(python.line("got "), "price/btc 5");
    member.router.close();
    serving.join().unwrap();
}
