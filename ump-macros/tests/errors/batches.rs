//! Methods that a service with batches cannot have, and errors that do not fit.

#![allow(unused)]

use ump_server::{service, service::ReplyTo};

#[derive(Clone)]
struct DiskFull;

struct Other;

struct Store;

#[service]
impl Store {
    #[batch_end]
    fn commit(&mut self) -> Result<(), DiskFull> {
        Ok(())
    }

    fn infallible(&self) -> u32 {
        1
    }

    fn nothing(&self) {}

    fn later(&mut self, reply: ReplyTo<'_, Self, u32>) {}

    fn not_from(&self) -> Result<u32, Other> {
        Ok(1)
    }

    #[post]
    fn fine(&mut self) {}
}

struct Odd;

#[service]
impl Odd {
    #[batch_start]
    fn begin(&mut self) -> u32 {
        1
    }

    #[batch_start]
    fn parametrised(&mut self, n: u32) {}

    #[batch_end]
    fn end(&mut self) {}

    #[batch_end]
    fn again(&mut self) {}

    async fn asynchronous(&mut self) {}
}

struct NotCloned;

struct Uncloned;

#[service]
impl NotCloned {
    #[batch_start]
    fn begin(&mut self) -> Result<(), Uncloned> {
        Ok(())
    }

    #[batch_end]
    fn end(&mut self) -> Result<u32, Uncloned> {
        Ok(1)
    }

    fn get(&self) -> Result<u32, Uncloned> {
        Ok(1)
    }
}

fn main() {
    // A service that takes batches does not take single requests.
    let (client, _) = ump_server::thread::serve(Store);
}
