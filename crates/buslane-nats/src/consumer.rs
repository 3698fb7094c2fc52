//! How a connection begins: the stream, its durable consumer, and what is missing between the last
//! event that was read and the first that comes.

use crate::pending::Pending;
use crate::position::StreamPosition;
use crate::source_settings::SourceSettings;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind};
use async_nats::jetstream::stream::{Info, Stream};
use async_nats::{Client, Subject, Subscriber};
use buslane::source::{Fault, Gap, GapReason};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a connection shall continue.
pub(crate) struct Wanted<'a> {
    pub(crate) from: Option<StreamPosition>,
    pub(crate) pending: &'a Arc<Pending>,
    pub(crate) settings: &'a SourceSettings,
}

/// An open connection to a consumer.
pub(crate) struct Attached {
    pub(crate) client: Client,
    pub(crate) stream: Stream,
    pub(crate) consumer: PullConsumer,
    pub(crate) inbox: Subject,
    pub(crate) replies: Subscriber,
    /// The stream's identity.
    pub(crate) created: i64,
    /// The last sequence of the stream.
    pub(crate) last: u64,
    /// The sequence up to which events were read or handled.
    pub(crate) sequence: u64,
    /// The sequence up to which an earlier process has handled every event.
    pub(crate) handled: u64,
    pub(crate) resumed: bool,
    pub(crate) gap: Option<Gap>,
    pub(crate) ack_wait: Duration,
    /// When the server has begun to deliver again what is on its way to an earlier connection.
    pub(crate) hold: Option<Instant>,
}

/// Why a source cannot continue.
#[derive(Debug)]
enum Broken {
    OtherStream,
    Shorter { sequence: u64, last: u64 },
    OtherConsumer(&'static str),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherStream => f.write_str("the stream was deleted and made again"),
            Self::Shorter { sequence, last } => {
                write!(f, "the stream ends at {last}, before the token's {sequence}")
            }
            Self::OtherConsumer(what) => {
                write!(
                    f,
                    "the stream has a consumer of this name with {what}: delete it, or give another name"
                )
            }
        }
    }
}

impl std::error::Error for Broken {}

/// Finds or creates the consumer.
pub(crate) async fn attach(client: Client, wanted: &Wanted<'_>) -> Result<Attached, Fault> {
    let settings = wanted.settings;
    let context = async_nats::jetstream::new(client.clone());
    let stream = context.get_stream(&settings.stream).await.map_err(Fault::transient)?;
    let info = stream.cached_info();
    let created = identity(info);
    let last = info.state.last_sequence;
    if let Some(from) = wanted.from {
        if from.created != created {
            return Err(Fault::stale_token(Broken::OtherStream));
        }
        if from.sequence > last {
            return Err(Fault::stale_token(Broken::Shorter { sequence: from.sequence, last }));
        }
    }
    let (consumer, is_new) = match stream.consumer_info(&settings.consumer).await {
        Ok(info) if info.config.deliver_subject.is_some() => {
            return Err(Fault::fatal(Broken::OtherConsumer("push delivery")));
        }
        Ok(_) => {
            let consumer = stream.get_consumer::<pull::Config>(&settings.consumer).await;
            (consumer.map_err(Fault::transient)?, false)
        }
        Err(error) if is_missing(&error) => {
            let consumer = stream.create_consumer(config(settings, start(wanted))).await;
            (consumer.map_err(Fault::transient)?, true)
        }
        Err(error) => return Err(Fault::transient(error)),
    };
    check(&consumer, settings)?;
    let begin = begin(wanted, info, &consumer, is_new);
    let inbox = Subject::from(client.new_inbox());
    let replies = client.subscribe(inbox.clone()).await.map_err(Fault::transient)?;
    let Begin { sequence, handled, resumed, gap, hold } = begin;
    let ack_wait = consumer.cached_info().config.ack_wait;
    Ok(Attached {
        client,
        stream,
        consumer,
        inbox,
        replies,
        created,
        last,
        sequence,
        handled,
        resumed,
        gap,
        ack_wait,
        hold,
    })
}

/// Returns the identity of a stream.
pub(crate) fn identity(info: &Info) -> i64 {
    // Until the year 2262.
    i64::try_from(info.created.unix_timestamp_nanos()).unwrap_or_default()
}

fn is_missing(error: &ConsumerInfoError) -> bool {
    error.kind() == ConsumerInfoErrorKind::NotFound
}

/// Returns where a new consumer begins, if there is something to continue: what is outstanding was
/// delivered by a consumer that was deleted.
fn start(wanted: &Wanted<'_>) -> Option<u64> {
    let next = wanted.from?.sequence + 1;
    Some(wanted.pending.lowest().map_or(next, |lowest| lowest.min(next)))
}

fn config(settings: &SourceSettings, start: Option<u64>) -> pull::Config {
    let deliver_policy = match start {
        Some(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
        None if settings.only_new => DeliverPolicy::New,
        None => DeliverPolicy::All,
    };
    pull::Config {
        durable_name: Some(settings.consumer.clone()),
        filter_subject: settings.filter.clone().unwrap_or_default(),
        deliver_policy,
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.ack_wait,
        max_ack_pending: i64::try_from(settings.max_pending).unwrap_or(i64::MAX),
        ..pull::Config::default()
    }
}

/// Checks that a consumer which was there does what the settings say.
fn check(consumer: &PullConsumer, settings: &SourceSettings) -> Result<(), Fault> {
    let found = &consumer.cached_info().config;
    let most = usize::try_from(found.max_ack_pending).unwrap_or(usize::MAX);
    let other = if found.ack_policy != AckPolicy::Explicit {
        "another policy of acknowledgements"
    } else if found.filter_subject != settings.filter.as_deref().unwrap_or_default() {
        "another filter"
    } else if most < settings.max_pending {
        "a smaller limit of unacknowledged messages"
    } else {
        return Ok(());
    };
    Err(Fault::fatal(Broken::OtherConsumer(other)))
}

struct Begin {
    sequence: u64,
    handled: u64,
    resumed: bool,
    gap: Option<Gap>,
    hold: Option<Instant>,
}

/// Finds out where the consumer is, and what is missing until there.
fn begin(wanted: &Wanted<'_>, stream: &Info, consumer: &PullConsumer, is_new: bool) -> Begin {
    let info = consumer.cached_info();
    let (is_known, outstanding) = wanted.pending.known(identity(stream));
    // Deliveries that this process does not have: they were on their way when a connection broke, or
    // an earlier process has not acknowledged them.
    let unknown = info.num_ack_pending.saturating_sub(outstanding);
    let floor = info.ack_floor.stream_sequence;
    let sequence = wanted.from.map_or(floor, |from| from.sequence);
    // Where only this process has read, its own position is the better one.
    let first_wanted = if unknown > 0 || (wanted.from.is_none() && !is_new) { floor } else { sequence } + 1;
    let first = stream.state.first_sequence;
    let begins_anywhere = wanted.from.is_none() && is_new;
    let gap = (first > first_wanted && !begins_anywhere).then(|| {
        let gap = Gap::new(GapReason::HistoryLost);
        let is_exact = unknown == 0 && wanted.settings.filter.is_none();
        if is_exact { gap.missed(first - first_wanted) } else { gap }
    });
    let resumed = gap.is_none() && !begins_anywhere;
    // What is discarded was told, or is before the beginning.
    let sequence = sequence.max(first.saturating_sub(1));
    // A later process that has a token trusts it: every event before it was handled.
    let handled = if is_known { 0 } else { wanted.from.map_or(0, |from| from.sequence) };
    let hold = (unknown > 0).then(|| Instant::now() + info.config.ack_wait + Duration::from_millis(500));
    Begin { sequence, handled, resumed, gap, hold }
}
