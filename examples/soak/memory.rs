//! How much memory the process has: as the system counts it, and as its own allocator does.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fmt, fs,
    sync::atomic::{AtomicUsize, Ordering},
};

#[global_allocator]
static METER: Meter = Meter {
    blocks: AtomicUsize::new(0),
    bytes: AtomicUsize::new(0),
};

struct Meter {
    blocks: AtomicUsize,
    bytes: AtomicUsize,
}

// Relaxed throughout: numbers, which order nothing.

// SAFETY: it hands everything on to `System`, as it came.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.blocks.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// What is alive may grow by so much between two quiet moments: the runtime and the threads keep a bit for later.
const MORE_BYTES: usize = 256 * 1024;
/// What is resident may grow by so much: allocators do not give everything back to the system.
const MORE_RESIDENT: usize = 32 * 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// None where the system does not tell.
    resident: Option<usize>,
    bytes: usize,
    blocks: usize,
}

impl Memory {
    pub(crate) fn now() -> Self {
        Self {
            resident: resident(),
            bytes: METER.bytes.load(Ordering::Relaxed),
            blocks: METER.blocks.load(Ordering::Relaxed),
        }
    }

    /// What is wrong with having this much, if it was once `before`.
    pub(crate) fn complaint(&self, before: &Self) -> Option<String> {
        let grown = self.bytes.saturating_sub(before.bytes);
        if grown > MORE_BYTES {
            return Some(format!(
                "{grown} bytes more are alive than after the warm-up; at most {MORE_BYTES} may be"
            ));
        }
        let grown = self.resident?.saturating_sub(before.resident?);
        (grown > MORE_RESIDENT).then(|| {
            format!("{grown} bytes more are resident than after the warm-up; at most {MORE_RESIDENT} may be")
        })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resident {
            Some(resident) => write!(f, "{} KiB resident, ", resident / 1024)?,
            None => f.write_str("? KiB resident, ")?,
        }
        write!(
            f,
            "{} KiB alive in {} allocations",
            self.bytes / 1024,
            self.blocks
        )
    }
}

/// From Linux.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
