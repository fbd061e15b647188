//! An allocator that keeps what is freed until the schedule has been run.
//!
//! So nothing depends on whether an address is used again, which no schedule knows of; and what is written to after it was freed is found
//! out, as is most of what is read (it is spoilt).

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    ptr, slice,
};

/// To be the global allocator of the tests.
#[derive(Debug)]
pub struct Quarantine;

/// What is written over freed memory: no length, no address, no state of anything.
const SPOILT: u8 = 0xdb;

/// At the end of each block that is kept.
struct Kept {
    next: *mut Kept,
    layout: Layout,
}

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static KEPT: Cell<*mut Kept> = const { Cell::new(ptr::null_mut()) };
}

/// Runs `schedule`, and keeps what it frees till then.
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
            // SAFETY: `dealloc` has put it there, and the block is nobody else's.
            unsafe {
                let Kept { next, layout } = kept.read();
                let (roomy, at) = with_room(layout);
                let block = kept.cast::<u8>().sub(at);
                let was = slice::from_raw_parts(block, layout.size());
                intact &= was.iter().all(|&byte| byte == SPOILT);
                System.dealloc(block, roomy);
                kept = next;
            }
        }
        assert!(
            intact || std::thread::panicking(),
            "written after it was freed"
        );
    }
}

/// A layout with room for `Kept` at the end, and where that is.
fn with_room(layout: Layout) -> (Layout, usize) {
    layout.extend(Layout::new::<Kept>()).expect("not so large")
}

// SAFETY: it is the system's, with larger blocks that are given back later.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the size is not zero.
        unsafe { System.alloc(with_room(layout).0) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (roomy, at) = with_room(layout);
        // (While a thread ends there is nothing to ask.)
        if !IS_ON.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: it came from there, with this layout.
            return unsafe { System.dealloc(block, roomy) };
        }
        // SAFETY: there is room for it, aligned, and the block is nobody else's from now on.
        unsafe {
            block.write_bytes(SPOILT, layout.size());
            #[expect(clippy::cast_ptr_alignment, reason = "it is aligned there")]
            let kept = block.add(at).cast::<Kept>();
            let next = KEPT.replace(kept);
            kept.write(Kept { next, layout });
        }
    }
}
