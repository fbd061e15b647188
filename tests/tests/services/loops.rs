//! A service on every kind of loop.

use std::{num::NonZeroUsize, ops::ControlFlow, time::Duration};

use tests::{
    LONG,
    device::{Device, DeviceClient},
    store::{Store, StoreClient, StoreGet, StoreRefusal, StoreReply, StoreRequest},
};
use ump_server::{
    Stop,
    system::{Attributes, System},
    task, thread,
    thread::{Batch, BatchService},
};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

#[test]
fn it_runs_in_pools() {
    let pool = thread::Builder::new().spawn_pool(TWO, |_| Ok(Store::default()));
    let store = StoreClient(pool.unwrap().0);
    assert_eq!(store.get(1).wait().unwrap(), None);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let prototype = Device::default();
    let pool = task::Builder::new().runtime(runtime.handle().clone());
    let pool = pool.spawn_pool(TWO, move |_| Ok(prototype.clone()));
    let device = DeviceClient(pool.unwrap().0);
    assert_eq!(device.write(vec![1]).wait().unwrap(), 1);
}

#[test]
fn it_is_a_component() {
    let system = System::builder()
        .thread("store", Attributes::new().capacity(4), |_| {
            Ok(Store::default())
        })
        .start(LONG)
        .wait()
        .unwrap();
    let store = StoreClient(system.client("store").unwrap());
    store.put(1, "One".to_owned()).wait().unwrap();
    assert_eq!(store.get(1).wait().unwrap().as_deref(), Some("one"));
    drop(store);
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
}

/// Handles the requests of a store in batches, by hand.
#[derive(Default)]
struct Batches(Vec<usize>);

impl BatchService for Batches {
    type Request = StoreRequest;
    type Reply = StoreReply;
    type Error = StoreRefusal;
    type Output = ();
    type Timer = ();

    fn handle(
        &mut self,
        batch: &mut Batch<StoreRequest, StoreReply, StoreRefusal>,
    ) -> ControlFlow<()> {
        self.0.push(batch.len());
        for (request, rctx) in batch.drain() {
            if let StoreRequest::Get(StoreGet { key }) = request {
                let _ = rctx.reply(StoreReply::Get(Some(key.to_string())));
            }
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn its_client_asks_a_handler_of_batches() {
    let loops = thread::Builder::new().spawn_batches(TWO, |_| Ok(Batches::default()));
    let store = StoreClient(loops.unwrap().0);
    let value = store.get(3).timeout(Duration::from_secs(60)).wait();
    assert_eq!(value.unwrap().as_deref(), Some("3"));
}
