//! An allocator that counts while counting is enabled.
//!
//! It counts in a pass of its own, because a counter that all threads write would slow down
//! contenders that allocate.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

struct Counting;

static ENABLED: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

static BYTES: AtomicI64 = AtomicI64::new(0);

fn count_one(bytes: usize) {
    if ENABLED.load(Ordering::Relaxed) {
        COUNT.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes.cast_signed() as i64, Ordering::Relaxed);
    }
}

fn count_freed(bytes: usize) {
    if ENABLED.load(Ordering::Relaxed) {
        BYTES.fetch_sub(bytes.cast_signed() as i64, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one(size);
        count_freed(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count_freed(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Enables or disables counting.
pub(crate) fn enable(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Returns the number of allocations of all threads while counting was enabled.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Returns the bytes allocated less the bytes freed while counting was enabled.
pub(crate) fn bytes() -> i64 {
    BYTES.load(Ordering::Relaxed)
}
