//! The writers that may hold the bias of a ring, as a writer that revokes it sees them. The
//! protocol, with its invariants E1 to E4, is in `bias`.

use super::{BUSY, VALUE};
use crate::sync::membarrier::{heavy_fence_or_wait, process_pair};
use crate::sync::{AtomicPtr, AtomicU64, CachePadded, Mutex, Ordering, lock};
use std::ptr::null_mut;
use std::sync::Arc;

/// The words of a writer that may hold the bias. Only the holder and a writer that revokes access
/// them, so the cache line stays with the holder.
pub(super) struct Holder {
    /// The position after the value that the holder is about to write, or the tail.
    pub(super) announced: AtomicU64,
    /// Biases that were granted at this position or an earlier one are revoked.
    pub(super) revoked: AtomicU64,
}

/// All writers of a ring that may hold its bias, and the one that held it last.
pub(super) struct Holders {
    /// Read only together with a tail word that has the bias.
    pub(super) current: AtomicPtr<Holder>,
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    all: Vec<Arc<CachePadded<Holder>>>,
    free: Vec<Arc<CachePadded<Holder>>>,
}

impl Holders {
    pub(super) fn new() -> Self {
        Self { current: AtomicPtr::new(null_mut()), registry: Mutex::new(Registry::default()) }
    }

    /// Returns the words of one more writer. Allocates if there are more writers than ever before.
    pub(super) fn register(&self) -> Arc<CachePadded<Holder>> {
        let mut registry = lock(&self.registry);
        registry.free.pop().unwrap_or_else(|| {
            let words = Holder { announced: AtomicU64::new(0), revoked: AtomicU64::new(0) };
            let holder = Arc::new(CachePadded::new(words));
            registry.all.push(holder.clone());
            holder
        })
    }

    /// Keeps the words of a writer that is dropped for the next one.
    pub(super) fn give_back(&self, holder: &Arc<CachePadded<Holder>>) {
        lock(&self.registry).free.push(holder.clone());
    }

    /// Makes one attempt to turn the bias into a claim of the calling writer. `word` is a tail word
    /// with the bias, loaded with Acquire. `fenced` is the position up to which this writer has
    /// revoked.
    ///
    /// Fails while the holder writes a value, and if the tail word has changed.
    #[cold]
    pub(super) fn revoke(&self, tail: &AtomicU64, word: u64, fenced: &mut Option<u64>) -> bool {
        let position = word / VALUE;
        // SAFETY: E4: the caller has a handle to the writers. The pointer was stored before the
        // tail word that the caller has loaded.
        let holder = unsafe { self.current.load(Ordering::Relaxed).as_ref() };
        let holder = holder.expect("the holder is named before its bias is shown");
        if *fenced != Some(position) {
            // ORD(bias.revoked): Relaxed; the fence below orders it.
            holder.revoked.fetch_max(position, Ordering::Relaxed);
            // ORD(bias.announced): heavy fence; pairs with the light one in `Bias::announce`: the
            // holder sees the revocation, or this writer sees the announcement.
            heavy_fence_or_wait(process_pair());
            *fenced = Some(position);
        }
        // Relaxed: the exchange finds the store that the caller has loaded (E1). The heavy fence
        // after that load acquired what `Announced::put` or `Claim::drop` released with it.
        holder.announced.load(Ordering::Relaxed) == position
            && tail
                .compare_exchange(word, (position * VALUE) | BUSY, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
