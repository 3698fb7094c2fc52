//! Keeps key-value nodes in step, each a process, while they crash, hang, and come back.
//!
//! ```text
//! cargo run --release -p replicas
//! cargo run --release -p replicas -- --seconds 60 --nodes 5 --seed 7
//! cargo run --release -p replicas -- --history 1024 --rate 2000
//! ```
//!
//! The program starts itself again as nodes, which speak HTTP with it on loopback. Clients write to
//! the nodes. A node sends each change to the hub, and a [`buslane::director::Director`] delivers
//! it to all other nodes, in one order, in packets that are sent again until they are acknowledged:
//!
//! ```text
//! client ──► node a ──► hub: Director ──┬─► packets ──► node b ◄── client
//!                                       └─► packets ──► node c ◄── client
//! ```
//!
//! One node after the other gets into trouble, in an order that depends on the seed:
//!
//! | trouble | what happens | what mends it |
//! |---|---|---|
//! | crash | its process is killed, and starts again without data | it joins again, and pulls the data of its peers before it receives changes |
//! | pause | its process is stopped until a packet has timed out | the packet is sent again; the node recognizes by its id what it has applied |
//! | stall | its process is stopped until the director has dropped events for it | the next packet says that events were lost, and the node pulls the data of its peers |
//!
//! After each trouble the hub publishes a mark, which every node must acknowledge.
//!
//! At the end everything is proven. All nodes must have the same data, and exactly that which the
//! changes accepted by the hub result in: a change that was lost, or applied twice, falsifies a sum.
//! No change that a client saw acknowledged may be missing. What the nodes counted must be what the
//! director delivered. `--json` prints the story and the report as JSON Lines, the report last.
//!
//! The exit code is 0 when all of that holds, 1 when it does not or standard output is full, and 2
//! when the program could not start. Ctrl-C ends it early, and so does a reader of its output that
//! goes away; what was written until then is proven all the same. No node outlives the program,
//! however it ends.

mod change;
mod client;
mod conductor;
mod hub;
mod node;
mod options;
mod plan;
mod record;
mod report;
mod server;
mod state;
mod wire;
mod writers;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    demo_support::run(|options: &Options| match (&options.name, &options.hub) {
        (Some(name), Some(hub)) => node::run(options, name, hub),
        _ => conductor::run(options),
    })
}
