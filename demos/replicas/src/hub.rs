//! The hub: a director with a member for each node, and the endpoint over which nodes join and
//! publish.
//!
//! ```text
//! node a ──POST /publish──► hub ─► Director: one history ─┬─► outbox of b ──POST /packet──► node b
//!                                                         └─► outbox of c ──POST /packet──► node c
//! ```

mod desk;
mod line;
mod remote;

use crate::change::Vector;
use crate::options::Options;
use crate::record::Record;
use crate::server::Endpoint;
use buslane::director::DirectorReport;
use demo_support::{Failure, Story};
use desk::Desk;
pub(crate) use line::Traffic;
use std::sync::Arc;
use std::time::Duration;

/// Threads that answer requests beside one for each node.
const SPARE_THREADS: usize = 4;

/// The hub, and its endpoint.
pub(crate) struct Hub {
    endpoint: Endpoint,
    desk: Arc<Desk>,
}

impl Hub {
    pub(crate) fn open(options: &Options, story: Story) -> Result<Self, Failure> {
        let desk = Desk::open(options, story)?;
        let endpoint = Endpoint::open(options.nodes + SPARE_THREADS, &desk)?;
        Ok(Self { endpoint, desk })
    }

    pub(crate) fn url(&self) -> &str {
        &self.endpoint.url
    }

    /// Returns where a node is, if it is a member.
    pub(crate) fn url_of(&self, name: &str) -> Option<String> {
        self.desk.peers().into_iter().find(|peer| peer.name == name).map(|peer| peer.url)
    }

    /// Removes a member whose process was killed. Its undelivered events are gone.
    pub(crate) fn forget(&self, name: &str) {
        self.desk.forget(name);
    }

    /// Says whether a node is in trouble. While it is, the others need not wait for it.
    pub(crate) fn set_aside(&self, name: &str, is_aside: bool) {
        self.desk.set_aside(name, is_aside);
    }

    /// Returns what was counted for a node: over all its lives, and for the last one.
    pub(crate) fn traffic(&self, name: &str) -> (Traffic, Traffic) {
        self.desk.traffic(name)
    }

    /// Returns which changes were accepted.
    pub(crate) fn accepted(&self) -> Vector {
        self.desk.accepted()
    }

    /// Returns how many changes were accepted.
    pub(crate) fn accepted_count(&self) -> u64 {
        self.desk.accepted_count()
    }

    /// Publishes a mark, waits until every node has acknowledged it and everything before it, and
    /// returns the names of those that have not.
    pub(crate) fn mark(&self, limit: Duration) -> Result<Vec<String>, Failure> {
        self.desk.mark(limit)
    }

    /// Closes the endpoint and the director, and returns what was accepted, and what the director
    /// reports.
    pub(crate) fn close(self, limit: Duration) -> (Record, DirectorReport) {
        drop(self.endpoint);
        self.desk.close(limit)
    }
}
