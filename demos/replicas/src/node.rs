//! A node: a process with data, which it changes for its clients and keeps in step with its peers.

mod data;
mod replica;

use crate::options::Options;
use crate::server::Endpoint;
use demo_support::{Failure, process};
use replica::Replica;
use std::sync::Arc;

/// Threads that answer requests. A packet, a write and pulls of two peers need one each.
const THREADS: usize = 6;

/// Runs the node `name` of the hub at a URL, until the process that started it ends or closes the
/// standard input of this one.
pub(crate) fn run(options: &Options, name: &str, hub: &str) -> Result<(), Failure> {
    process::end_with_parent(options.parent)?;
    let replica = Arc::new(Replica::new(name, hub));
    let endpoint = Endpoint::open(THREADS, &replica)?;
    replica.join(&endpoint.url)?;
    process::wait_for_end();
    Ok(())
}
