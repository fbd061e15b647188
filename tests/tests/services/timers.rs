//! Timers of a service.

use std::time::Duration;

use tests::{
    device::{Device, DeviceClient},
    store::{Store, StoreClient},
};
use ump_server::{TestClock, task, thread};

#[test]
fn timers_begin_with_the_loop() {
    let clock = TestClock::new();
    let builder = thread::Builder::new().test_clock(&clock);
    let (client, _) = builder
        .spawn(|_| Ok(Store::ticking(Duration::from_secs(10))))
        .unwrap();
    let store = StoreClient(client);
    assert_eq!(store.get(9).wait().unwrap().as_deref(), Some("nine"));
    clock.advance(Duration::from_secs(59));
    assert_eq!(store.ticks().wait().unwrap(), 5);
    assert!(store.get(9).wait().unwrap().is_some());
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.ticks().wait().unwrap(), 6);
    assert!(store.get(9).wait().unwrap().is_none());
}

#[test]
fn async_timers_begin_with_the_loop() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock = TestClock::new();
    let builder = task::Builder::new()
        .runtime(runtime.handle().clone())
        .test_clock(&clock);
    let (client, _) = builder.spawn(|_| Ok(Device::default())).unwrap();
    let device = DeviceClient(client);
    assert!(device.written().wait().unwrap().is_empty());
    clock.advance(Duration::from_secs(1));
    assert_eq!(device.written().wait().unwrap(), b"!");
}
