//! The parts of a running service, which all requests share.

use crate::admission::Admission;
use crate::audit::{Audit, Writer};
use crate::feed::Feed;
use crate::options::Serve;
use crate::orders::{Order, Orders};
use crate::requests::Requests;
use crate::telemetry::Telemetry;
use demo_support::Failure;
use std::sync::Arc;

/// The parts of a running service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) admission: Admission,
    pub(crate) requests: Requests,
    pub(crate) orders: Orders,
    pub(crate) audit: Audit,
    pub(crate) feed: Feed,
    pub(crate) telemetry: Telemetry,
}

impl Service {
    /// Puts the parts together. The writer of the audit is to run as a task.
    pub(crate) fn new(
        settings: &Serve,
        earlier: Vec<Order>,
        telemetry: Telemetry,
    ) -> Result<(Arc<Self>, Writer), Failure> {
        let (audit, writer) = Audit::new(settings.capacity, settings.patience, settings.durable)
            .map_err(|error| Failure::setup("cannot create the audit", error))?;
        let feed = Feed::new(settings.history, settings.clients.get())
            .map_err(|error| Failure::setup("cannot create the feed", error))?;
        audit
            .register()
            .and_then(|()| feed.register())
            .map_err(|error| Failure::setup("cannot register the sinks", error))?;
        let service = Self {
            admission: Admission::new(settings.requests.get()),
            requests: Requests::default(),
            orders: Orders::new(settings.stock, earlier),
            audit,
            feed,
            telemetry,
        };
        Ok((Arc::new(service), writer))
    }
}
