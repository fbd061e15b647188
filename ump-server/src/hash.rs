//! The stable choice of an instance for a key.

use std::hash::{Hash, Hasher};

/// Returns the bucket of a key.
///
/// The algorithm is FNV-1a (Fowler, Noll and Vo) over the key's bytes, then the finalizer of
/// `MurmurHash3` (Appleby), because FNV-1a mixes the upper bits poorly, then jump consistent
/// hashing (Lamping and Veach, 2014).
pub(crate) fn bucket<K: Hash + ?Sized>(key: &K, buckets: usize) -> usize {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    key.hash(&mut hasher);
    jump(hasher.finish(), buckets)
}

/// An FNV-1a hasher. It hashes each integer with its lowest byte first, and `usize`, `isize` and
/// lengths as 64 bits, so that all machines agree. They may differ for slices of integers, whose
/// memory comes through [`write`](Hasher::write).
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn write_u16(&mut self, n: u16) {
        self.write(&n.to_le_bytes());
    }

    fn write_u32(&mut self, n: u32) {
        self.write(&n.to_le_bytes());
    }

    fn write_u64(&mut self, n: u64) {
        self.write(&n.to_le_bytes());
    }

    fn write_u128(&mut self, n: u128) {
        self.write(&n.to_le_bytes());
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        // The sign fills the upper bits on machines of 32 bits as well.
        self.write_i64(n as i64);
    }

    fn finish(&self) -> u64 {
        let mut n = self.0;
        n = (n ^ (n >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        n = (n ^ (n >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        n ^ (n >> 33)
    }
}

/// Returns the bucket of a key among `buckets`. Follows the key from bucket to bucket while the
/// number of buckets grows up to `buckets`.
fn jump(mut key: u64, buckets: usize) -> usize {
    let buckets = i64::try_from(buckets).unwrap_or(i64::MAX);
    let mut here = 0;
    let mut next = 0_i64;
    while next < buckets {
        here = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "as the paper has it: the quotient is at least one, and a cast saturates"
        )]
        let jumped = ((here + 1) as f64 * ((1_u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as i64;
        next = jumped;
    }
    usize::try_from(here).expect("a bucket is a usize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_always_has_the_same_bucket() {
        // These values come from another implementation. They must not change.
        let buckets = ["", "a", "b", "ump", "42"].map(|key| bucket(key, 10));
        assert_eq!(buckets, BUCKETS);
        assert_eq!(bucket(&7_u64, 1000), SEVEN);
        assert_eq!(bucket(&7_usize, 1000), SEVEN, "as wide on all machines");
        assert_eq!(bucket(&-7_isize, 1000), bucket(&-7_i64, 1000));
    }

    const BUCKETS: [usize; 5] = [6, 6, 8, 2, 3];
    const SEVEN: usize = 267;

    #[test]
    fn the_buckets_fill_evenly() {
        let mut counts = [0_u32; 8];
        for key in 0..80_000_u32 {
            counts[bucket(&key, 8)] += 1;
        }
        for count in counts {
            assert!((9_500..10_500).contains(&count), "{counts:?}");
        }
    }

    #[test]
    fn one_more_bucket_moves_keys_only_to_itself() {
        let mut moved = 0;
        for key in 0..10_000_u32 {
            let (before, after) = (bucket(&key, 9), bucket(&key, 10));
            assert!(after == before || after == 9);
            moved += u32::from(after != before);
        }
        assert!((850..1150).contains(&moved), "a tenth: {moved}");
    }
}
