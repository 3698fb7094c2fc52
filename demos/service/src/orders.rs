//! The inventory and the orders in memory.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// What can be ordered.
pub(crate) const ITEMS: [&str; 4] = ["bolt", "nut", "washer", "gear"];

/// The highest quantity of one order.
pub(crate) const MOST: u32 = 1000;

/// An order that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) item: Item,
    pub(crate) quantity: u32,
}

/// An item, as an index into [`ITEMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub(crate) struct Item(usize);

impl Item {
    /// Returns the item of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ITEMS.iter().position(|item| *item == name).map(Self)
    }

    pub(crate) fn name(self) -> &'static str {
        ITEMS[self.0]
    }
}

impl TryFrom<String> for Item {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::named(&name).ok_or_else(|| format!("item {name:?} is unknown: use one of {}", ITEMS.join(", ")))
    }
}

impl From<Item> for &'static str {
    fn from(item: Item) -> Self {
        item.name()
    }
}

/// The inventory, and all orders that were taken.
#[derive(Debug)]
pub(crate) struct Orders {
    stock: [AtomicU64; ITEMS.len()],
    next: AtomicU64,
    taken: RwLock<HashMap<u64, Order>>,
}

/// Pieces that are taken off the stock. They return to it when this is dropped, unless they were
/// ordered.
#[derive(Debug)]
pub(crate) struct Reserved<'a> {
    orders: &'a Orders,
    item: Item,
    quantity: u32,
}

impl Orders {
    /// Opens with this stock of each item, of which earlier orders have taken their part.
    pub(crate) fn new(stock: u64, earlier: Vec<Order>) -> Self {
        let next = earlier.iter().map(|order| order.id).max().map_or(1, |last| last + 1);
        let orders = Self {
            stock: [(); ITEMS.len()].map(|()| AtomicU64::new(stock)),
            next: AtomicU64::new(next),
            taken: RwLock::default(),
        };
        for order in earlier {
            let left = &orders.stock[order.item.0];
            left.store(left.load(Ordering::Relaxed).saturating_sub(order.quantity.into()), Ordering::Relaxed);
            orders.keep(order);
        }
        orders
    }

    /// Takes pieces off the stock, or returns how many there are if they are too few.
    pub(crate) fn reserve(&self, item: Item, quantity: u32) -> Result<Reserved<'_>, u64> {
        let take = |left: u64| left.checked_sub(quantity.into());
        self.stock[item.0].fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map(|_| Reserved {
            orders: self,
            item,
            quantity,
        })
    }

    /// Returns the order of this number.
    pub(crate) fn find(&self, id: u64) -> Option<Order> {
        self.taken.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    /// Returns each item with its stock.
    pub(crate) fn stock(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        ITEMS.into_iter().zip(self.stock.iter().map(|left| left.load(Ordering::Relaxed)))
    }

    fn keep(&self, order: Order) {
        self.taken.write().unwrap_or_else(PoisonError::into_inner).insert(order.id, order);
    }
}

impl Reserved<'_> {
    /// Returns the order of these pieces, with a number of its own.
    pub(crate) fn order(&self) -> Order {
        let id = self.orders.next.fetch_add(1, Ordering::Relaxed);
        Order { id, item: self.item, quantity: self.quantity }
    }

    /// Keeps the order, which was accepted.
    pub(crate) fn keep(mut self, order: Order) {
        self.quantity = 0;
        self.orders.keep(order);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.orders.stock[self.item.0].fetch_add(self.quantity.into(), Ordering::Relaxed);
    }
}
