use std::{ffi::c_int, ptr, time::Duration};

use ump_server::{service, thread, ump::Executed};

struct Counter(u32);

#[service]
impl Counter {
    fn add(&mut self, n: u32) -> u32 {
        self.0 += n;
        self.0
    }
}

#[unsafe(no_mangle)]
extern "C" fn counter_open() -> *mut CounterClient {
    match thread::Builder::new().name("counter").serve(Counter(0)) {
        Ok((client, _)) => Box::into_raw(Box::new(CounterClient(client))),
        Err(_) => ptr::null_mut(),
    }
}

/// Any thread may call this, with pointers that are valid during the call.
#[unsafe(no_mangle)]
unsafe extern "C" fn counter_add(counter: &CounterClient, n: u32, ms: u64, sum: &mut u32) -> c_int {
    match counter.add(n).timeout(Duration::from_millis(ms)).wait() {
        Ok(reply) => *sum = reply,
        Err(error) if error.executed() == Executed::No => return 1, // it is safe to try again
        Err(_) => return 2,
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn counter_close(counter: *mut CounterClient) {
    // SAFETY: the pointer is from `counter_open`, and the caller does not use it any more.
    drop(unsafe { Box::from_raw(counter) });
}
