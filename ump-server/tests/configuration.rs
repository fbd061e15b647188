//! Attributes of components from a file.

#![cfg(feature = "config")]

use std::{fs, time::Duration};

use ump_server::{
    OnPanic, Restart, Stop,
    system::{
        Attributes, Builder, ComponentContext, Config, ConfigError, Group, StartError, System,
    },
    thread::answer,
};

const LONG: Duration = Duration::from_secs(60);

/// Builds a program with two components and a group.
fn program() -> Builder {
    let attributes = Attributes::new()
        .capacity(8)
        .on_panic(OnPanic::Restart(Restart::new()));
    System::builder()
        .thread("a", attributes, |_: &ComponentContext<u8, u8, ()>| {
            Ok(answer(Ok))
        })
        .thread(
            "b",
            Attributes::new(),
            |_: &ComponentContext<u8, u8, ()>| Ok(answer(Ok)),
        )
        .group(Group::new("g").members(["b"]))
}

fn toml_error(text: &str) -> String {
    Config::from_toml(text).unwrap_err().to_string()
}

fn start_error(config: Config) -> ConfigError {
    match program().config(config).start(LONG).wait() {
        Err(StartError::Config(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn file_overrides_the_program() {
    let config = Config::from_toml("[components.a]\ninstances = 3\n[components.b]\ncapacity = 5");
    let system = program()
        .config(config.unwrap())
        .start(LONG)
        .wait()
        .unwrap();
    let status = system.status();
    assert_eq!(status[0].instances.len(), 3);
    assert_eq!(
        status[0].instances[0].capacity,
        Some(8),
        "as the program says"
    );
    assert_eq!(status[1].instances[0].capacity, Some(5));
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
}

#[test]
fn a_later_file_overlays_an_earlier_one() {
    let config = |text| Config::from_toml(text).unwrap();
    let system = program()
        .config(config("components.a = { instances = 2, capacity = 3 }"))
        .config(config("components.a.capacity = \"unbounded\""))
        .start(LONG)
        .wait()
        .unwrap();
    let status = &system.status()[0];
    assert_eq!(status.instances.len(), 2);
    assert_eq!(status.instances[0].capacity, None);
}

#[test]
fn a_default_timeout_is_that_of_every_client() {
    let config = Config::from_toml("components.a.default_timeout = \"1.5s\"").unwrap();
    let system = program().config(config).start(LONG).wait().unwrap();
    let client = system.client::<u8, u8, ()>("a").unwrap();
    assert_eq!(client.timeout(), Some(Duration::from_millis(1500)));
    let other = system.client::<u8, u8, ()>("b").unwrap();
    assert_eq!(other.timeout(), None);
    drop((client, other));
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
    let error = Config::from_toml("components.a.default_timeout = \"soon\"").unwrap_err();
    assert_eq!(error.key, "components.a.default_timeout");
}

#[test]
fn json_is_read_alike() {
    let config = Config::from_json(
        r#"{"components": {"a": {"instances": 2, "restart": {"window": "1s", "first_pause": 5}}}}"#,
    );
    let system = program()
        .config(config.unwrap())
        .start(LONG)
        .wait()
        .unwrap();
    assert_eq!(system.status()[0].instances.len(), 2);
}

#[test]
fn dependencies_can_be_added() {
    let config = Config::from_toml("components.a.needs = [\"b\"]").unwrap();
    let system = program().config(config).start(LONG).wait().unwrap();
    let report = system.stop(Stop::Drain, LONG).wait();
    assert_eq!(
        report.instances[0].component, "a",
        "the dependent is the first to end"
    );
}

#[test]
fn errors_name_the_line_the_key_and_what_is_allowed() {
    assert_eq!(
        toml_error("[components.a]\ncapacity = \"many\""),
        "configuration, line 2, components.a.capacity: invalid value: string \"many\", \
         expected a number of requests, at least 1, or \"unbounded\""
    );
    assert_eq!(
        toml_error("components.a.capacity = 0"),
        "configuration, line 1, components.a.capacity: invalid value: integer `0`, \
         expected a number of requests, at least 1, or \"unbounded\""
    );
    assert_eq!(
        toml_error("[components.a]\n\nrestart = { window = \"soon\" }"),
        "configuration, line 3, components.a.restart.window: invalid value: string \"soon\", \
         expected a duration: milliseconds, or a text like \"250us\", \"10ms\", \"1.5s\", \"5min\", \"1h\" or \"2d\""
    );
    assert_eq!(
        toml_error("components.a.priority = 100"),
        "configuration, line 1, components.a.priority: invalid value: integer `100`, \
         expected a priority from 0 to 99"
    );
    assert_eq!(
        toml_error("groups.g.strategy = \"all\""),
        "configuration, line 1, groups.g.strategy: unknown variant `all`, \
         expected one of `one-for-one`, `rest-for-one`, `one-for-all`"
    );
    let instances = toml_error("components.a.instances = 0");
    assert!(
        instances.starts_with(
            "configuration, line 1, components.a.instances: invalid value: integer `0`"
        ),
        "{instances}"
    );
}

#[test]
fn unknown_key_is_an_error_that_names_the_known_keys() {
    let error = Config::from_toml("[components.a]\ncolour = 1").unwrap_err();
    assert_eq!(error.key, "components.a.colour");
    assert!(
        error.why.starts_with(
            "unknown field `colour`, expected one of `needs`, `instances`, `workers`, `capacity`"
        ),
        "{error}"
    );
    let json = Config::from_json("{\n\"componets\": {}}").unwrap_err();
    assert_eq!((json.line, &*json.key), (Some(2), "componets"));
}

#[test]
fn unknown_component_or_group_is_an_error() {
    let error = start_error(Config::from_toml("[components.c]").unwrap());
    assert_eq!(
        error.to_string(),
        "configuration, components.c: the program has no such component; it has a, b"
    );
    let error = start_error(Config::from_toml("[groups.h]").unwrap());
    assert_eq!(
        error.to_string(),
        "configuration, groups.h: the program has no such group; it has g"
    );
}

#[test]
fn a_restart_that_contradicts_the_policy_is_an_error() {
    let text = "components.a = { on_panic = \"stop\", restart = { limit = 1 } }";
    assert_eq!(
        start_error(Config::from_toml(text).unwrap()).to_string(),
        "configuration, components.a.restart: it needs on_panic = \"restart\""
    );
}

#[test]
fn syntax_error_has_its_line() {
    let toml = Config::from_toml("[components.a]\ncapacity =").unwrap_err();
    assert_eq!((toml.line, &*toml.key), (Some(2), ""));
    let json = Config::from_json("{\n\"components\": {},\n}").unwrap_err();
    assert_eq!(json.line, Some(3));
    assert!(Config::from_json("{} more").is_err());
}

#[test]
fn duplicate_key_is_an_error() {
    let json = r#"{"components": {"a": {"workers": 1}, "a": {"workers": 2}}}"#;
    let error = Config::from_json(json).unwrap_err().to_string();
    assert_eq!(
        error,
        "configuration, line 1, components: a is defined twice"
    );
    assert!(Config::from_toml("[components.a]\n[components.a]").is_err());
}

#[test]
fn a_file_is_named_in_its_errors() {
    let directory = std::env::temp_dir().join(format!("ump-server-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("system.toml");
    fs::write(&path, "[components.a]\ncapacity = 0\n").unwrap();
    let error = Config::read(&path).unwrap_err();
    let file = path.display().to_string();
    assert_eq!((error.file.as_deref(), error.line), (Some(&*file), Some(2)));
    fs::write(&path, "[components.x]\n").unwrap();
    let error = start_error(Config::read(&path).unwrap());
    assert_eq!(
        (error.file.as_deref(), &*error.key),
        (Some(&*file), "components.x")
    );
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(Config::read(&path).unwrap_err().file, Some(file));
    let other = Config::read("system.yaml").unwrap_err();
    assert_eq!(
        other.to_string(),
        "system.yaml: the name of the file must end with .toml or .json"
    );
}

#[test]
fn a_status_can_be_serialised() {
    let system = program().start(LONG).wait().unwrap();
    let status = serde_json::to_value(system.status()).unwrap();
    assert_eq!(status[1]["name"], "b");
    assert_eq!(status[1]["group"], "g");
    assert_eq!(status[0]["instances"][0]["state"], "up");
    assert_eq!(status[0]["instances"][0]["requests"]["accepted"], 0);
}
