//! Services whose factory fails.

use std::{fs, io};

use ump_server::{SpawnError, service, task, thread};

/// Owns a file.
struct File(String);

#[derive(Debug, PartialEq)]
struct NoLine;

#[service(start_error = io::Error)]
impl File {
    fn line(&self, nth: usize) -> Result<String, NoLine> {
        self.0.lines().nth(nth).map(str::to_owned).ok_or(NoLine)
    }
}

#[test]
fn a_factory_fails_by_its_own_error() {
    let open = |path: &'static str| {
        thread::Builder::new().spawn_with(move |_| Ok(File(fs::read_to_string(path)?)))
    };
    let Err(SpawnError::Handler(error)) = open("/no/such/file") else {
        panic!("there is no such file")
    };
    assert!(error.to_string().contains("No such file"), "{error}");
    assert_eq!(format!("{error:?}"), "StartError(..)");
    let FileRefusal::StartError(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), io::ErrorKind::NotFound);

    let (client, _) = open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let file = FileClient(client);
    assert_eq!(file.line(0).wait().unwrap(), "[package]");
    let error = file.line(1_000_000).wait().unwrap_err();
    assert_eq!(error.into_apperr(), Some(NoLine));
}

/// A service without any error of its own.
struct Port(u16);

#[service(start_error = std::num::ParseIntError)]
impl Port {
    async fn get(&self) -> u16 {
        std::future::ready(self.0).await
    }
}

#[test]
fn an_infallible_service_may_fail_to_start() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = |port: &'static str| {
        let builder = task::Builder::new().runtime(runtime.handle().clone());
        builder.spawn(move |_| Ok(Port(port.parse()?)))
    };
    let Err(SpawnError::Handler(PortRefusal::StartError(_))) = start("many") else {
        panic!("no port")
    };
    let port = PortClient(start("80").unwrap().0);
    assert_eq!(port.get().wait().unwrap(), 80);
}
