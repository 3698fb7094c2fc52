//! The page that a scraper reads: the ledgers of all buses, and the counters of the service.

use crate::processor;
use crate::requests::CLASSES;
use crate::service::Service;
use buslane::stats::metrics::{Exposition, Format};
use std::fmt::{self, Write};

/// The format for a client with this `Accept` header.
pub(crate) fn format(accept: Option<&str>) -> Format {
    accept.map_or(Format::OpenMetrics, Format::accepted)
}

/// Writes the page.
pub(crate) fn page(service: &Service, format: Format) -> String {
    let mut text = String::new();
    write_counters(service, format, &mut text).expect("a string accepts every text");
    let [audit, feed] = [service.audit.snapshot(), service.feed.snapshot()];
    let log = service.telemetry.snapshot();
    let mut exposition = Exposition::new().format(format).bus("audit", &audit).bus("feed", &feed);
    if let Some(log) = &log {
        exposition = exposition.bus("log", log);
    }
    write!(text, "{exposition}").expect("a string accepts every text");
    text
}

/// Writes the counters of the service itself.
fn write_counters(service: &Service, format: Format, out: &mut String) -> fmt::Result {
    let mut counter = Counters { format, out };
    let (requests, progress) = (service.requests.counts(), service.audit.progress());
    let name = "service_requests";
    counter.family(name, "Requests that were received.")?.sample(name, "", requests.received)?;
    let name = "service_answers";
    counter.family(name, "Requests that were answered, by the class of their status.")?;
    for (class, count) in CLASSES.iter().zip(requests.answered) {
        counter.sample(name, &format!("{{class=\"{class}\"}}"), count)?;
    }
    for (name, help, count) in [
        ("service_orders", "Orders that were answered 201.", requests.created),
        (
            "service_abandoned_requests",
            "Requests whose client did not wait for the answer.",
            requests.abandoned,
        ),
        ("service_rows", "Orders that were written to the database.", progress.rows()),
        ("service_transactions", "Transactions of the database.", progress.batches()),
        ("service_failed_transactions", "Transactions that failed and were repeated.", progress.failures()),
    ] {
        counter.family(name, help)?.sample(name, "", count)?;
    }
    if let Some(lost) = service.telemetry.lost() {
        let name = "service_lost_log_lines";
        counter.family(name, "Log lines that were lost and counted.")?.sample(name, "", lost)?;
    }
    let (name, time) = ("process_cpu_seconds", processor::time().as_secs_f64());
    counter.family(name, "Processor time of all threads.")?.sample(name, "", time)?;
    Ok(())
}

/// Writes counters in one of both formats, which spell the names of families differently.
struct Counters<'a> {
    format: Format,
    out: &'a mut String,
}

impl Counters<'_> {
    fn family(&mut self, name: &str, help: &str) -> Result<&mut Self, fmt::Error> {
        let suffix = if self.format == Format::OpenMetrics { "" } else { "_total" };
        writeln!(self.out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} counter")?;
        Ok(self)
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl fmt::Display) -> fmt::Result {
        writeln!(self.out, "{name}_total{labels} {value}")
    }
}
