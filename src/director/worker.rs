//! The thread of a member: it hands packets to the node until the session ends.

use super::base::{Delivery, Node};
use super::driver::{Driver, Step};
use super::key::{Epoch, PacketKind};
use super::packet::Packet;
use super::record::Record;
use super::ticket::Verdict;
use crate::sync::lock;
use crate::wait::context::{discard, dispose, error_text, user_code};
use std::sync::Arc;

pub(super) struct Worker<E: Clone + Send + Sync + 'static, N> {
    driver: Driver<E>,
    node: Held<N>,
}

/// A node, which is disposed of in any case: also by a thread that could not be started.
struct Held<N>(Option<N>);

impl<N> Drop for Held<N> {
    fn drop(&mut self) {
        if let Some(node) = self.0.take() {
            dispose(node);
        }
    }
}

impl<E: Clone + Send + Sync + 'static, N: Node<E>> Worker<E, N> {
    pub(super) fn new(driver: Driver<E>, node: N) -> Self {
        Self { driver, node: Held(Some(node)) }
    }

    pub(super) fn run(self) {
        let Self { mut driver, mut node } = self;
        // Also if a panic ever escapes everything that catches panics.
        let end = End(driver.record.clone(), driver.epoch);
        while let Some(called) = &mut node.0 {
            match driver.step() {
                Step::Deliver(packet) => {
                    let verdict = call(called, &packet);
                    driver.returned(packet, verdict);
                }
                Step::Wait { for_events } => driver.wait(for_events, None),
                Step::End => break,
            }
        }
        drop(driver);
        drop(node);
        drop(end);
    }
}

/// Calls the node with a packet.
fn call<E, N: Node<E>>(node: &mut N, packet: &Packet<E>) -> Verdict {
    let called = user_code(|| match (packet.kind(), packet.roster()) {
        (PacketKind::State, Some(roster)) => node.joined(roster, packet),
        _ => node.deliver(packet),
    });
    match called {
        Ok(Delivery::Done) => Verdict::Acked,
        Ok(Delivery::Pending) => Verdict::Pending,
        Ok(Delivery::Retry(wait)) => Verdict::Failed(wait),
        Ok(Delivery::Reject(reason)) => {
            let text = error_text(&*reason);
            discard(reason);
            Verdict::Rejected(text)
        }
        Err(text) => Verdict::Panicked(text),
    }
}

/// Reports the end of the worker.
struct End<E: Clone + Send + Sync + 'static>(Arc<Record<E>>, Epoch);

impl<E: Clone + Send + Sync + 'static> Drop for End<E> {
    fn drop(&mut self) {
        {
            let mut state = lock(&self.0.state);
            state.workers.remove(&self.1);
        }
        self.0.common.ended.notify();
    }
}
