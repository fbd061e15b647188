//! How components are looked up.

use ump_server::{
    Stop,
    system::{Attributes, LookupError, StartError, System},
};

use crate::support::{LONG, Log, On, Op, ProbeClient, Probes, make, on_each_kind};

on_each_kind! {
    a_component_is_found_by_name_and_instance
    each_mistake_has_its_own_error
    a_factory_finds_only_what_its_component_needs
    directory_finds_started_components_only
}

fn a_component_is_found_by_name_and_instance(on: On) {
    let log = Log::default();
    let builder = on.add_all(System::builder(), &log, &["one"]);
    let probes = Probes::new(&log);
    let builder = on.add(builder, "two", Attributes::new().instances(2), probes);
    let system = builder.start(LONG).wait().unwrap();
    let one: ProbeClient = system.client("one").unwrap();
    assert_eq!(one.req(Op::Echo(1)), Ok(1));
    let second: ProbeClient = system.instance("two", 1).unwrap();
    assert_eq!(second.req(Op::Echo(2)), Ok(2));
    let status = system.status();
    let counts = status[1].instances.iter().map(|it| it.requests.accepted);
    assert_eq!(counts.collect::<Vec<_>>(), [0, 1]);
    drop(system);
}

fn each_mistake_has_its_own_error(on: On) {
    let log = Log::default();
    let builder = on.add_all(System::builder(), &log, &["one"]);
    let probes = Probes::new(&log);
    let builder = on.add(builder, "two", Attributes::new().instances(2), probes);
    let system = builder.start(LONG).wait().unwrap();
    let error = |found: Result<ProbeClient, LookupError>| found.unwrap_err().to_string();
    assert_eq!(
        error(system.client("three")),
        "there is no component three; the components are one, two"
    );
    assert_eq!(
        error(system.client("two")),
        "component two has 2 instances: choose one by `instance`, or use a `balancer`"
    );
    assert_eq!(
        error(system.instance("two", 2)),
        "component two has no instance 2: it has 2, counted from zero"
    );
    let Err(LookupError::Type {
        component,
        asked,
        is,
    }) = system.client::<u8, u64, &'static str>("one")
    else {
        panic!("it is asked other messages")
    };
    assert_eq!(component, "one");
    assert!(
        asked.contains("<u8, u64, &str>") && is.contains("Op, u64, &str>"),
        "{asked} {is}"
    );
    drop(system);
}

fn a_factory_finds_only_what_its_component_needs(on: On) {
    let log = Log::default();
    let builder = on.add_all(System::builder(), &log, &["a", "b"]);
    let probes = Probes::new(&log);
    let builder = on.add_with(builder, "c", Attributes::new().needs("b"), move |setup| {
        let _b: ProbeClient = setup.client("b")?;
        let unknown = setup.client::<Op, u64, &'static str>("x");
        assert!(matches!(unknown, Err(LookupError::Unknown { .. })));
        let _a: ProbeClient = setup.client("a")?;
        make(&probes, setup)
    });
    let error = builder.start(LONG).wait().unwrap_err();
    assert!(matches!(error, StartError::Component { .. }));
    assert_eq!(
        error.to_string(),
        "component c did not start: its factory returned an error: \
         component c looked up a, which it does not need: add `needs` to its attributes"
    );
}

fn directory_finds_started_components_only(on: On) {
    let log = Log::default();
    let probes = Probes::new(&log);
    let builder = on.add_with(System::builder(), "a", Attributes::new(), move |setup| {
        let later = setup.directory().client::<Op, u64, &'static str>("b");
        assert_eq!(
            later.map(|_| ()).unwrap_err(),
            LookupError::NotStarted {
                component: "b".to_owned()
            }
        );
        assert_eq!((setup.component(), setup.number()), ("a", 0));
        make(&probes, setup)
    });
    let builder = on.add_all(builder, &log, &["b"]);
    let system = builder.start(LONG).wait().unwrap();
    let directory = system.directory();
    let b: ProbeClient = directory.client("b").unwrap();
    assert_eq!(b.req(Op::Echo(1)), Ok(1));
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
    let gone = directory.client::<Op, u64, &'static str>("b");
    assert_eq!(gone.map(|_| ()), Err(LookupError::Gone));
}
