//! One attachment of a sink to a bus.

use super::info::{Info, SinkRef};
use super::link::Link;
use crate::sync::guarded::Listed;
use crate::sync::{self, Mutex, lock};
use crate::wait::context::dispose;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An attachment: what lists and the control plane hold.
pub(super) struct Entry<E: Send + 'static> {
    pub(super) info: Arc<Info>,
    pub(super) listed: sync::Arc<Listed<SinkRef<E>>>,
    pub(super) reached: Arc<Reached<E>>,
}

impl<E: Send + 'static> Clone for Entry<E> {
    fn clone(&self) -> Self {
        Self { info: self.info.clone(), listed: self.listed.clone(), reached: self.reached.clone() }
    }
}

/// The links of this bus's publishers to one sink, by publisher.
pub(super) struct Reached<E: Send + 'static>(Mutex<ReachedBy<E>>);

struct ReachedBy<E: Send + 'static> {
    links: BTreeMap<u64, Arc<Link<E>>>,
    /// The sink is being taken off the bus.
    ended: bool,
}

impl<E: Send + 'static> Reached<E> {
    pub(super) fn new(links: BTreeMap<u64, Arc<Link<E>>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(ReachedBy { links, ended: false })))
    }

    /// Adds the link of a new publisher; not when the sink is being taken off the bus.
    pub(super) fn add(&self, publisher: u64, link: &Arc<Link<E>>) -> bool {
        let mut reached = lock(&self.0);
        if !reached.ended {
            reached.links.insert(publisher, link.clone());
        }
        !reached.ended
    }

    /// Forgets a publisher that has ended and uses its lanes no more.
    pub(super) fn forget(&self, publisher: u64) -> Option<Arc<Link<E>>> {
        // As long as the link is here, no removal reports the sink as quiet.
        let link = lock(&self.0).links.get(&publisher).cloned();
        link.inspect(|link| {
            link.drop_user_code();
        });
        lock(&self.0).links.remove(&publisher)
    }

    /// Drops the user code of the sink that publishers still have in their lanes; `false` while another thread drops some of it. To be
    /// called when the sink is being taken off the bus, and its guard is quiet.
    pub(super) fn drop_user_code(&self) -> bool {
        let links = self.end();
        let is_gone = links.iter().fold(true, |is_gone, (_, link)| link.drop_user_code() && is_gone);
        if is_gone {
            dispose(self.take());
        }
        dispose(links);
        is_gone
    }

    /// Adds no more links, and returns those that there are.
    pub(super) fn end(&self) -> Vec<(u64, Arc<Link<E>>)> {
        let mut reached = lock(&self.0);
        reached.ended = true;
        reached.links.iter().map(|(publisher, link)| (*publisher, link.clone())).collect()
    }

    /// Adds no more links, and lets go of those that there are.
    pub(super) fn take(&self) -> BTreeMap<u64, Arc<Link<E>>> {
        let mut reached = lock(&self.0);
        reached.ended = true;
        std::mem::take(&mut reached.links)
    }
}
