//! One cached publisher for each thread and bus.

use super::Core;
use super::publisher::Publisher;
use crate::sync::per_thread;
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// A cached publisher, by the address of its bus, which it keeps alive (though not open).
struct Local {
    address: usize,
    /// A `RefCell<Publisher<E>>`, borrowed while it is lent.
    publisher: Rc<dyn Any>,
    /// Whether its bus is closed, so that the entry is of no use any more.
    is_over: fn(&dyn Any) -> bool,
}

per_thread! {
    static LOCALS: RefCell<Vec<Local>> = RefCell::new(Vec::new())
}

fn is_over<E: Send + 'static>(publisher: &dyn Any) -> bool {
    let publisher = publisher.downcast_ref::<RefCell<Publisher<E>>>();
    publisher.is_none_or(|cell| cell.try_borrow().is_ok_and(|publisher| publisher.core().is_closed()))
}

#[inline]
pub(super) fn with<E: Send + 'static, R>(core: &Arc<Core<E>>, f: impl FnOnce(&mut Publisher<E>) -> R) -> R {
    let address = core.address();
    let cached = LOCALS.try_with(|locals| {
        let locals = locals.borrow();
        locals.iter().find(|local| local.address == address).map(|local| local.publisher.clone())
    });
    let cached = match cached {
        Ok(Some(cached)) => Some(cached),
        Ok(None) => make(core),
        // The thread is ending.
        Err(_) => None,
    };
    let cell = cached.as_deref().and_then(|cached| cached.downcast_ref::<RefCell<Publisher<E>>>());
    let mut lent = cell.and_then(|cell| cell.try_borrow_mut().ok());
    let mut shared = None;
    // One call, so that it is worth inlining, and an event that it holds stays in registers.
    f(match &mut lent {
        Some(publisher) => publisher,
        // It is lent further up on this thread.
        None => shared.insert(Publisher::shared(core)),
    })
}

/// Makes this thread's publisher for a bus, and drops those of buses that are closed.
#[cold]
fn make<E: Send + 'static>(core: &Arc<Core<E>>) -> Option<Rc<dyn Any>> {
    let publisher: Rc<dyn Any> = Rc::new(RefCell::new(Publisher::register(core, None)));
    let local = Local { address: core.address(), publisher: publisher.clone(), is_over: is_over::<E> };
    let over = LOCALS.try_with(|locals| {
        let mut locals = locals.borrow_mut();
        let over: Vec<Local> = locals.extract_if(.., |local| (local.is_over)(&*local.publisher)).collect();
        locals.push(local);
        over
    });
    // Dropped outside the borrow: a destructor may publish.
    over.ok().map(|over| {
        drop(over);
        publisher
    })
}
