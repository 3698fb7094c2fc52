//! One cached publisher for each thread and bus.

use super::Core;
use super::publisher::Publisher;
use crate::sync::thread_local;
use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

/// A cached publisher; its place is empty while it is lent.
struct Local {
    address: usize,
    publisher: Option<Box<dyn Any>>,
    /// Whether its bus is closed, so that the entry is of no use any more.
    is_over: fn(&dyn Any) -> bool,
}

thread_local! {
    static LOCALS: RefCell<Vec<Local>> = const { RefCell::new(Vec::new()) };
}

fn is_over<E: Send + 'static>(publisher: &dyn Any) -> bool {
    publisher.downcast_ref::<Publisher<E>>().is_none_or(|publisher| publisher.core().is_closed())
}

/// What the cache has for a bus.
enum Lent {
    Cached(Box<dyn Any>),
    /// It is lent further up on this thread, or the thread is ending.
    Away,
    Missing,
}

fn lend(address: usize) -> Lent {
    LOCALS
        .try_with(|locals| match locals.borrow_mut().iter_mut().find(|local| local.address == address) {
            Some(local) => local.publisher.take().map_or(Lent::Away, Lent::Cached),
            None => Lent::Missing,
        })
        .unwrap_or(Lent::Away)
}

/// Puts the publisher back also when the closure unwinds.
struct Lending<E: Send + 'static>(Option<Box<Publisher<E>>>, usize);

impl<E: Send + 'static> Drop for Lending<E> {
    fn drop(&mut self) {
        let (publisher, address) = (self.0.take(), self.1);
        // When the thread is ending the publisher is dropped right here.
        let _ = LOCALS.try_with(|locals| {
            if let Some(local) = locals.borrow_mut().iter_mut().find(|local| local.address == address) {
                local.publisher = publisher.map(|publisher| publisher as Box<dyn Any>);
            }
        });
    }
}

pub(super) fn with<E: Send + 'static, R>(core: &Arc<Core<E>>, f: impl FnOnce(&mut Publisher<E>) -> R) -> R {
    let address = core.address();
    let publisher = match lend(address) {
        Lent::Cached(publisher) => publisher.downcast::<Publisher<E>>().ok(),
        Lent::Missing => make(core),
        Lent::Away => None,
    };
    let Some(publisher) = publisher else { return f(&mut Publisher::shared(core)) };
    let mut lending = Lending(Some(publisher), address);
    match &mut lending.0 {
        Some(publisher) => f(publisher),
        None => f(&mut Publisher::shared(core)),
    }
}

/// Makes this thread's publisher for a bus, and drops those of buses that are closed.
#[cold]
fn make<E: Send + 'static>(core: &Arc<Core<E>>) -> Option<Box<Publisher<E>>> {
    let publisher = Box::new(Publisher::register(core, None));
    let place = Local { address: core.address(), publisher: None, is_over: is_over::<E> };
    let over = LOCALS.try_with(|locals| {
        let mut locals = locals.borrow_mut();
        let over: Vec<Local> = locals
            .extract_if(.., |local| {
                local.publisher.as_deref().is_some_and(|publisher| (local.is_over)(publisher))
            })
            .collect();
        locals.push(place);
        over
    });
    // Dropped outside the borrow: a destructor may publish.
    over.ok().map(|over| {
        drop(over);
        publisher
    })
}
