//! The memory of the process, as the system and as its own allocator count it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fmt, fs,
    sync::atomic::{AtomicUsize, Ordering},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator {
    blocks: AtomicUsize::new(0),
    bytes: AtomicUsize::new(0),
};

struct CountingAllocator {
    blocks: AtomicUsize,
    bytes: AtomicUsize,
}

// ORDERING: relaxed throughout; these numbers order nothing.

// SAFETY: each method passes its arguments unchanged to `System`, which implements the contract.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller guarantees a layout of non-zero size.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.blocks.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller passes a block of this allocator, and so of `System`, with its layout.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller passes a block of this allocator, and so of `System`, with its layout,
        // and a valid size.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// How much the allocated bytes may grow between two quiet moments: the runtime and the threads
/// cache some.
const MAX_GROWTH: usize = 256 * 1024;
/// How much the resident bytes may grow: allocators do not return everything to the system.
const MAX_RESIDENT_GROWTH: usize = 32 * 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// `None` on systems other than Linux.
    resident: Option<usize>,
    bytes: usize,
    blocks: usize,
}

impl Memory {
    pub(crate) fn now() -> Self {
        Self {
            resident: resident(),
            bytes: ALLOCATOR.bytes.load(Ordering::Relaxed),
            blocks: ALLOCATOR.blocks.load(Ordering::Relaxed),
        }
    }

    /// Returns a description of a growth since `before` that is too large.
    pub(crate) fn growth(&self, before: &Self) -> Option<String> {
        let grown = self.bytes.saturating_sub(before.bytes);
        if grown > MAX_GROWTH {
            return Some(format!(
                "{grown} bytes more are allocated than after the warm-up; at most {MAX_GROWTH} may be"
            ));
        }
        let grown = self.resident?.saturating_sub(before.resident?);
        (grown > MAX_RESIDENT_GROWTH).then(|| {
            format!("{grown} bytes more are resident than after the warm-up; at most {MAX_RESIDENT_GROWTH} may be")
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
            "{} KiB in {} allocations",
            self.bytes / 1024,
            self.blocks
        )
    }
}

/// Returns the resident bytes, on Linux.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
