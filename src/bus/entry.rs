//! One attachment of a sink to a bus.

use super::info::{Info, SinkRef};
use super::link::Link;
use crate::mailbox::shared_push::SharedPush;
use crate::sync::guarded::Listed;
use crate::sync::{self, Mutex, lock};
use crate::wait::context::dispose;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An attachment of a sink, as the lists and the control plane hold it.
pub(super) struct SinkEntry<E: Send + 'static> {
    pub(super) info: Arc<Info>,
    pub(super) listed: sync::Arc<Listed<SinkRef<E>>>,
    pub(super) reached: Arc<Reached<E>>,
    /// The access to the sink's shared lane, for a publish that finds room there.
    pub(super) shared: Option<SharedPush<E>>,
}

impl<E: Send + 'static> SinkEntry<E> {
    /// Returns whether the sink has reported that it is closed. If the shared lane is open, it has
    /// not, and the record is not loaded.
    #[inline(always)]
    pub(super) fn is_closed(&self) -> bool {
        self.shared.as_ref().is_none_or(SharedPush::may_be_closed) && self.info.is_closed()
    }
}

impl<E: Send + 'static> Clone for SinkEntry<E> {
    fn clone(&self) -> Self {
        Self {
            info: self.info.clone(),
            listed: self.listed.clone(),
            reached: self.reached.clone(),
            shared: self.shared.clone(),
        }
    }
}

/// The links of this bus's publishers to one sink, by publisher.
pub(super) struct Reached<E: Send + 'static>(Mutex<ReachedBy<E>>);

struct ReachedBy<E: Send + 'static> {
    links: BTreeMap<u64, Arc<Link<E>>>,
    /// Set when the sink is being removed from the bus.
    closed: bool,
}

impl<E: Send + 'static> Reached<E> {
    pub(super) fn new(links: BTreeMap<u64, Arc<Link<E>>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(ReachedBy { links, closed: false })))
    }

    /// Adds the link of a new publisher. Returns `false` if the sink is being removed from the bus.
    pub(super) fn add(&self, publisher: u64, link: &Arc<Link<E>>) -> bool {
        let mut reached = lock(&self.0);
        if !reached.closed {
            reached.links.insert(publisher, link.clone());
        }
        !reached.closed
    }

    /// Removes and returns the link of a publisher that no longer uses its lanes.
    pub(super) fn forget(&self, publisher: u64) -> Option<Arc<Link<E>>> {
        // While the link is listed, no removal reports the sink as quiet. So the link is removed
        // after its user code.
        let link = lock(&self.0).links.get(&publisher).cloned();
        link.inspect(|link| {
            link.drop_user_code();
        });
        lock(&self.0).links.remove(&publisher)
    }

    /// Drops the user code of the sink that publishers still have in their lanes. Returns `false`
    /// while another thread drops some of it.
    ///
    /// To be called when the sink is being removed from the bus and its guard is quiet.
    pub(super) fn drop_user_code(&self) -> bool {
        let links = self.end();
        let is_dropped = links.iter().fold(true, |is_dropped, (_, link)| link.drop_user_code() && is_dropped);
        if is_dropped {
            dispose(self.take());
        }
        dispose(links);
        is_dropped
    }

    /// Refuses further links, and returns the existing links.
    pub(super) fn end(&self) -> Vec<(u64, Arc<Link<E>>)> {
        let mut reached = lock(&self.0);
        reached.closed = true;
        reached.links.iter().map(|(publisher, link)| (*publisher, link.clone())).collect()
    }

    /// Refuses further links, and removes and returns the existing links.
    pub(super) fn take(&self) -> BTreeMap<u64, Arc<Link<E>>> {
        let mut reached = lock(&self.0);
        reached.closed = true;
        std::mem::take(&mut reached.links)
    }
}
