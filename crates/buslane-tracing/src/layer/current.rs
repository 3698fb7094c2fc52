//! The spans that a thread is in, as each layer sees them.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};

/// A span that a thread is in, as one layer sees it. Layers with different filters see different
/// spans.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entered {
    layer: u32,
    span: u64,
}

const NONE: Entered = Entered { layer: 0, span: 0 };

thread_local! {
    // Without a destructor, so that a thread that is ending still knows it.
    static INNERMOST: Cell<Entered> = const { Cell::new(NONE) };
    /// The spans around the innermost one.
    static OUTER: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// The number of the last layer. `Relaxed`: only uniqueness matters.
static LAST_LAYER: AtomicU32 = AtomicU32::new(0);

/// Returns a number for a layer, from 1.
pub(crate) fn new_layer() -> u32 {
    LAST_LAYER.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// Returns the innermost span of a layer that this thread is in, or 0.
#[inline]
pub(crate) fn span(layer: u32) -> u64 {
    let innermost = INNERMOST.get();
    if innermost.layer == layer || innermost.layer == 0 { innermost.span } else { search(layer) }
}

#[cold]
fn search(layer: u32) -> u64 {
    let found = OUTER.try_with(|outer| {
        let outer = outer.borrow();
        outer.iter().rev().find(|entered| entered.layer == layer).map_or(0, |entered| entered.span)
    });
    found.unwrap_or(0)
}

/// Notes that this thread enters a span.
pub(crate) fn enter(layer: u32, span: u64) {
    let outer = INNERMOST.replace(Entered { layer, span });
    if outer != NONE {
        // A thread that is ending forgets the outer spans.
        let _ = OUTER.try_with(|spans| spans.borrow_mut().push(outer));
    }
}

/// Notes that this thread leaves a span, which need not be the innermost one.
pub(crate) fn exit(layer: u32, span: u64) {
    let left = Entered { layer, span };
    if INNERMOST.get() == left {
        let outer = OUTER.try_with(|outer| outer.borrow_mut().pop());
        return INNERMOST.set(outer.ok().flatten().unwrap_or(NONE));
    }
    let _ = OUTER.try_with(|outer| {
        let mut outer = outer.borrow_mut();
        if let Some(position) = outer.iter().rposition(|entered| *entered == left) {
            outer.remove(position);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{enter, exit, new_layer, span};

    #[test]
    fn innermost_span_of_each_layer_is_current() {
        let (one, other) = (new_layer(), new_layer());
        assert_eq!(span(one), 0);
        enter(one, 10);
        enter(other, 20);
        enter(one, 11);
        assert_eq!((span(one), span(other)), (11, 20));
        exit(one, 11);
        assert_eq!((span(one), span(other)), (10, 20));
        exit(other, 20);
        exit(one, 10);
        assert_eq!((span(one), span(other)), (0, 0));
    }

    #[test]
    fn spans_may_end_in_any_order() {
        let layer = new_layer();
        [1, 2, 3].into_iter().for_each(|span| enter(layer, span));
        exit(layer, 1);
        assert_eq!(span(layer), 3);
        exit(layer, 3);
        assert_eq!(span(layer), 2);
        exit(layer, 7); // was never entered
        exit(layer, 2);
        assert_eq!(span(layer), 0);
    }
}
