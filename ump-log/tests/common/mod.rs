//! What the tests share.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use flate2::read::GzDecoder;
use tracing::Dispatch;
use tracing_subscriber::{Registry, layer::SubscriberExt};
use ump_log::{Builder, Guard};

/// For waits that end at once unless something is broken.
pub const LONG: Duration = Duration::from_secs(60);

/// Starts a log that is not global.
pub fn start(builder: Builder) -> (Dispatch, Guard) {
    let (layer, guard) = builder.start().expect("a log");
    (Dispatch::new(Registry::default().with(layer)), guard)
}

/// Runs `call` with a log, and flushes.
pub fn logged(builder: Builder, call: impl FnOnce(&Guard)) {
    let (dispatch, guard) = start(builder);
    tracing::dispatcher::with_default(&dispatch, || call(&guard));
    guard.flush(LONG).expect("flushed");
}

/// A writer whose bytes the test reads, and which it can stop.
#[derive(Clone, Default)]
pub struct Shared(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// Writes block.
    is_stopped: bool,
    /// A write blocks now.
    is_blocked: bool,
    /// Writes fail.
    fails: bool,
    /// How many bytes there is room for.
    room: Option<usize>,
}

impl Shared {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().unwrap().bytes.clone()).expect("UTF-8")
    }

    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    pub fn stop(&self, is_stopped: bool) {
        self.0.0.lock().unwrap().is_stopped = is_stopped;
        self.0.1.notify_all();
    }

    pub fn fail(&self, fails: bool) {
        self.0.0.lock().unwrap().fails = fails;
    }

    pub fn room(&self, room: Option<usize>) {
        self.0.0.lock().unwrap().room = room;
    }

    /// Waits until the log's thread blocks in a write.
    pub fn wait_until_blocked(&self) {
        let state = self.0.0.lock().unwrap();
        drop(
            self.0
                .1
                .wait_while(state, |state| !state.is_blocked)
                .unwrap(),
        );
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock().unwrap();
        while state.is_stopped {
            state.is_blocked = true;
            self.0.1.notify_all();
            state = self.0.1.wait(state).unwrap();
        }
        state.is_blocked = false;
        if state.fails || state.room == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        state.room = state.room.map(|room| room - count);
        state.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The files of a folder whose names begin with `name`, by name, and unpacked. The current file
/// comes last.
pub fn files(folder: &Path, name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let file_name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let has_extension = |wanted: &str| path.extension().is_some_and(|found| found == wanted);
        if !file_name.starts_with(name) || has_extension("partial") {
            continue;
        }
        let mut text = String::new();
        let file = File::open(&path).expect("a file");
        if has_extension("gz") {
            GzDecoder::new(file)
                .read_to_string(&mut text)
                .expect("gzip");
        } else {
            (&file).read_to_string(&mut text).expect("text");
        }
        found.push((file_name, text));
    }
    found.sort();
    if !found.is_empty() && found[0].0 == name {
        found.rotate_left(1);
    }
    found
}

/// All bytes of the files of a log, as they lie on the disk.
pub fn bytes_of_files(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder");
    // The compressor may remove one meanwhile.
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|data| data.len())
        .sum()
}
