//! The thread that makes a connection, and then does nothing but read and decode.
//!
//! It never waits for the monitor or the sink, so the engine is never slowed by a slow consumer.

use crate::attempt::Attempt;
use crate::body::EventBody;
use crate::client::{Client, Query};
use crate::date::time_here;
use crate::error::DockerError;
use crate::filter::Filter;
use crate::frame::{After, Decoder};
use crate::identity::Identity;
use crate::inbox::{Entry, Inbox};
use crate::token::Timestamp;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

/// How much earlier Podman is asked, in nanoseconds.
const PODMAN_MARGIN: i64 = 1000;

/// What to ask the engine for.
pub(crate) struct Plan {
    /// The engine that the token belongs to, if it names one.
    pub(crate) engine: Option<String>,
    /// The time from which to ask. Without one, from now on.
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
    pub(crate) filter: Filter,
    /// Whether the filter is applied in this process.
    pub(crate) filters_here: bool,
    /// The longest event, in bytes.
    pub(crate) longest: usize,
}

/// What is known of an engine when the stream begins.
pub(crate) struct Opened {
    pub(crate) engine: Option<Arc<str>>,
    /// The engine's time before the stream was asked for.
    pub(crate) now: Option<i64>,
    /// When that time was asked for.
    pub(crate) asked: Instant,
    /// Whether that time has whole seconds only.
    pub(crate) is_coarse: bool,
}

/// Connects, reports how that went, and reads to the end of the stream.
pub(crate) fn run(client: &Client, plan: &Plan, inbox: &Inbox, opening: &Attempt<Opened>) {
    let end = EndOnDrop(inbox, opening);
    match open(client, plan, opening) {
        Ok((reader, wanted)) => {
            inbox.end(read(client, reader, Decoder::new(plan.longest), &wanted, inbox));
        }
        // With Podman, the opening may have ended before.
        Err(error) => {
            opening.finish(Err(error.clone()));
            inbox.end(Err(error));
        }
    }
    drop(end);
}

/// Ends the stream also if the thread panics, so that the monitor never waits for a thread that is
/// gone.
struct EndOnDrop<'a>(&'a Inbox, &'a Attempt<Opened>);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.1.finish(Err(DockerError::Protocol));
        self.0.end(Err(DockerError::Protocol));
    }
}

/// Returns the stream, and the filter of its events that is applied here.
fn open(client: &Client, plan: &Plan, opening: &Attempt<Opened>) -> Result<(EventBody, Filter), DockerError> {
    let before_ping = Instant::now();
    let ping = client.ping()?;
    let before_info = Instant::now();
    let info = client.info(&ping)?;
    if let (Some(wanted), Some(id)) = (&plan.engine, &info.id)
        && **wanted != **id
    {
        return Err(DockerError::OtherEngine);
    }
    // The time was read before the stream is asked for, so nothing that follows is missed.
    let since = plan.since.or(info.time);
    // Podman's bound is exclusive, and a fraction of it is inexact.
    let since = since.map(|since| if ping.is_podman { since.saturating_sub(PODMAN_MARGIN) } else { since });
    // An engine refuses a range that ends before it begins.
    let since = match (since, plan.until) {
        (Some(since), Some(until)) if since > until => {
            if info.time.unwrap_or_else(time_here) > until {
                return Err(DockerError::UntilReached);
            }
            Some(until)
        }
        _ => since,
    };
    let mut query = Query::default();
    for (name, time) in [("since", since), ("until", plan.until)] {
        if let Some(time) = time {
            query.push(name, &Timestamp(time).to_string());
        }
    }
    let (filter, wanted) = plan.filter.divided(plan.filters_here, ping.is_podman);
    if !filter.is_empty() {
        query.push("filters", &filter.to_string());
    }
    let asked = if info.is_coarse { before_ping } else { before_info };
    let opened = Opened { engine: info.id, now: info.time, asked, is_coarse: info.is_coarse };
    if ping.is_podman {
        // Podman may answer only with the first event.
        opening.finish(Ok(opened));
        return Ok((client.events(&ping, &query)?, wanted));
    }
    let reader = client.events(&ping, &query)?;
    opening.finish(Ok(opened));
    Ok((reader, wanted))
}

/// Reads and decodes to the end of the stream, or until the inbox is closed.
fn read(
    client: &Client,
    mut body: EventBody,
    mut decoder: Decoder,
    wanted: &Filter,
    inbox: &Inbox,
) -> Result<(), DockerError> {
    loop {
        let mut end = match body.fill(&client.pace, &mut decoder) {
            Ok(is_over) => is_over.then_some(Ok(())),
            Err(error) => Some(Err(client.read_error(&error))),
        };
        let mut batch = inbox.batch();
        loop {
            let block = decoder.block(|event| {
                let identity = Identity::of(&event);
                batch.push_back(if wanted.matches(&event) {
                    Entry::Event(event, identity)
                } else {
                    Entry::Unwanted(identity, event.time_nano())
                });
            });
            match block {
                Ok(After::Full) => {}
                Ok(After::Undecodable(error, hash)) => batch.push_back(Entry::Undecodable(error, hash)),
                Ok(After::Dry) => break,
                Err(error) => {
                    end = Some(Err(error));
                    break;
                }
            }
        }
        if !inbox.push(batch) {
            return Ok(());
        }
        match end {
            None => {}
            // Half a value is a broken connection, however it ended.
            Some(Ok(())) if decoder.is_inside() => {
                return Err(client.read_error(&ErrorKind::UnexpectedEof.into()));
            }
            Some(end) => return end,
        }
    }
}
