//! An allocator that keeps freed memory until the schedule has been run.
//!
//! So nothing depends on the reuse of addresses, which a schedule does not control. Writes to freed
//! memory are detected, and most reads as well, as freed memory is overwritten.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    ptr, slice,
};

/// The global allocator of the tests.
#[derive(Debug)]
pub struct Quarantine;

/// The pattern that overwrites freed memory: not a valid length, address or state.
const POISON: u8 = 0xdb;

/// A list node at the end of each freed block.
struct Kept {
    next: *mut Kept,
    layout: Layout,
}

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static KEPT: Cell<*mut Kept> = const { Cell::new(ptr::null_mut()) };
}

/// Runs `schedule`, and frees its memory afterwards.
///
/// # Panics
/// If anything was written to freed memory.
pub fn keep<T>(schedule: impl FnOnce() -> T) -> T {
    let _free = Free;
    IS_ON.set(true);
    schedule()
}

struct Free;

impl Drop for Free {
    fn drop(&mut self) {
        IS_ON.set(false);
        let mut intact = true;
        let mut kept = KEPT.replace(ptr::null_mut());
        while !kept.is_null() {
            // SAFETY: `dealloc` has written the node, and the list owns the block.
            unsafe {
                let Kept { next, layout } = kept.read();
                let (extended, at) = with_kept(layout);
                let block = kept.cast::<u8>().sub(at);
                let was = slice::from_raw_parts(block, layout.size());
                intact &= was.iter().all(|&byte| byte == POISON);
                System.dealloc(block, extended);
                kept = next;
            }
        }
        assert!(
            intact || std::thread::panicking(),
            "written after it was freed"
        );
    }
}

/// Extends a layout by a `Kept` at the end, and returns its offset.
fn with_kept(layout: Layout) -> (Layout, usize) {
    layout.extend(Layout::new::<Kept>()).expect("not so large")
}

// SAFETY: it delegates to `System` with an extended layout, whose blocks satisfy the original one,
// and frees each block once, with the same layout.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the extended layout has a non-zero size.
        unsafe { System.alloc(with_kept(layout).0) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (extended, at) = with_kept(layout);
        // While a thread exits, the thread-local is not accessible.
        if !IS_ON.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: `alloc` got the block from `System` with this layout.
            return unsafe { System.dealloc(block, extended) };
        }
        // SAFETY: the extended layout has an aligned `Kept` at this offset, and the caller no
        // longer uses the block.
        unsafe {
            block.write_bytes(POISON, layout.size());
            #[expect(clippy::cast_ptr_alignment, reason = "it is aligned there")]
            let kept = block.add(at).cast::<Kept>();
            let next = KEPT.replace(kept);
            kept.write(Kept { next, layout });
        }
    }
}
