//! Metrics in the text format of Prometheus.

use ump_admin::Admin;

use crate::{
    client::get,
    program::{Ask, Program, router},
};

#[test]
fn metrics_are_of_components_and_of_the_router() {
    let program = Program::start();
    let router = router();
    assert_eq!(program.client().req(Ask::Echo(1)), Ok(1));
    let admin = program
        .admin()
        .router(&router)
        .listen("127.0.0.1:0")
        .unwrap();
    let metrics = get(&admin, "/metrics").expect(200);
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    for line in [
        "ump_component_state{component=\"store\",instance=\"0\",state=\"up\"} 1",
        "ump_component_state{component=\"store\",instance=\"0\",state=\"failed\"} 0",
        "ump_requests_accepted_total{component=\"store\",instance=\"0\"} 1",
        "ump_requests_ended_total{component=\"store\",instance=\"0\",outcome=\"replied\"} 1",
        "ump_queue_depth{component=\"search\",instance=\"0\"} 0",
        "ump_retained 2",
    ] {
        assert!(
            metrics.body.lines().any(|it| it == line),
            "{line} in {}",
            metrics.body
        );
    }
    drop(admin);
    program.stop();
}

#[test]
fn each_sample_belongs_to_a_described_family() {
    let program = Program::start();
    let router = router();
    let admin = program
        .admin()
        .router(&router)
        .listen("127.0.0.1:0")
        .unwrap();
    let text = get(&admin, "/metrics").expect(200).body;
    let mut family = "";
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            family = described.split(' ').next().unwrap();
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(name, family);
            assert!(
                line.rsplit(' ').next().unwrap().parse::<u64>().is_ok(),
                "{line}"
            );
            // A topic is never a label.
            assert!(!line.contains("eth/eur"), "{line}");
        }
    }
    drop(admin);
    program.stop();
}

#[test]
fn the_programs_exporter_comes_last() {
    let admin = Admin::new()
        .metrics(|| "mine 1\n".to_owned())
        .listen("127.0.0.1:0")
        .unwrap();
    assert!(
        get(&admin, "/metrics")
            .expect(200)
            .body
            .ends_with("mine 1\n")
    );
    let admin = Admin::new()
        .metrics(|| panic!("as asked"))
        .listen("127.0.0.1:0")
        .unwrap();
    get(&admin, "/metrics").expect(500);
    get(&admin, "/health").expect(200);
}
