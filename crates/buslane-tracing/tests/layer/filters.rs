//! Filters, and the answers that tracing caches.

use super::{OnDebug, alone, records};
use buslane::Receiver;
use buslane_tracing::{Record, layer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{Interest, with_default};
use tracing::{Level, Metadata, debug, info, trace, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::{EnvFilter, Layer, Registry};

fn messages(receiver: &mut Receiver<Record>) -> Vec<String> {
    receiver.drain().map(|record| record.message().to_owned()).collect()
}

/// Counts the calls of a filter for a level.
#[derive(Clone)]
struct Counted(LevelFilter, Arc<AtomicU32>);

impl<S> Filter<S> for Counted {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed);
        *metadata.level() <= self.0
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if *metadata.level() <= self.0 { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0)
    }
}

#[test]
fn default_level_is_info() {
    let (bus, mut receiver) = records();
    with_default(tracing_subscriber::registry().with(layer(&bus).build()), || {
        info!("recorded");
        debug!("filtered");
    });
    assert_eq!(messages(&mut receiver), ["recorded"]);
}

#[test]
fn targets_have_their_own_levels() {
    let (bus, mut receiver) = records();
    let targets = "warn,one=debug,one::two=off".parse::<Targets>().unwrap();
    with_default(tracing_subscriber::registry().with(layer(&bus).targets(targets).build()), || {
        debug!(target: "one::three", "1");
        debug!(target: "one::two", "2");
        info!(target: "other", "3");
        warn!(target: "other", "4");
    });
    assert_eq!(messages(&mut receiver), ["1", "4"]);
}

#[test]
fn level_can_change_at_run_time() {
    let (bus, mut receiver) = records();
    let layer = layer(&bus).level(Level::WARN);
    let levels = layer.levels();
    with_default(tracing_subscriber::registry().with(layer.build()), || {
        let log = |text| {
            info!("{text}");
            trace!(target: "noisy", "{text}");
        };
        log("1");
        levels.set_level(LevelFilter::INFO);
        log("2");
        levels.set("off,noisy=trace".parse().unwrap());
        log("3");
        levels.set_level(LevelFilter::OFF);
        log("4");
        levels.set_level(LevelFilter::TRACE);
        log("5");
    });
    assert_eq!(messages(&mut receiver), ["2", "3", "5", "5"]);
    assert_eq!(levels.targets().default_level(), Some(LevelFilter::TRACE));
}

/// Row 13 of the table in the crate's documentation.
#[test]
fn answers_for_all_callsites_stay_cached() {
    alone(module_path!(), "answers_for_all_callsites_stay_cached", || {
        let (bus, mut receiver) = records();
        let counted = Counted(LevelFilter::INFO, Arc::default());
        let other = tracing_subscriber::fmt::layer().with_writer(std::io::sink).with_filter(counted.clone());
        let subscriber = tracing_subscriber::registry().with(other).with(layer(&bus).build());
        with_default(subscriber, || {
            assert_eq!(LevelFilter::current(), LevelFilter::INFO);
            (0..100).for_each(|_| {
                debug!("disabled in both");
                info!("enabled in both");
            });
            assert_eq!(counted.1.load(Ordering::Relaxed), 0);
            assert_eq!(messages(&mut receiver).len(), 100);
        });
    });
}

/// Row 13, with the filter that most programs have.
#[test]
fn disabled_callsites_stay_off_beside_an_env_filter() {
    alone(module_path!(), "disabled_callsites_stay_off_beside_an_env_filter", || {
        let (bus, mut receiver) = records();
        let env =
            tracing_subscriber::fmt::layer().with_writer(std::io::sink).with_filter(EnvFilter::new("info"));
        // Counts how often any filter is asked: each is, if one is.
        let counted = Counted(LevelFilter::INFO, Arc::default());
        let witness =
            tracing_subscriber::fmt::layer().with_writer(std::io::sink).with_filter(counted.clone());
        let subscriber = tracing_subscriber::registry().with(env).with(layer(&bus).build()).with(witness);
        with_default(subscriber, || (0..100).for_each(|_| debug!("disabled in all")));
        assert_eq!((counted.1.load(Ordering::Relaxed), messages(&mut receiver).len()), (0, 0));
    });
}

#[test]
fn layers_with_different_filters_get_their_events() {
    let ((one, mut first), (other, mut second)) = (records(), records());
    let subscriber = tracing_subscriber::registry()
        .with(layer(&one).level(Level::WARN).build())
        .with(layer(&other).targets("off,only=trace".parse().unwrap()).build());
    with_default(subscriber, || {
        for _ in 0..3 {
            warn!("both or one");
            trace!(target: "only", "the other");
            info!("neither");
        }
    });
    assert_eq!(messages(&mut first), ["both or one"; 3]);
    assert_eq!(messages(&mut second), ["the other"; 3]);
}

/// Row 8: nested events leave the bits of the wrong event in tracing-subscriber.
#[test]
fn nested_events_do_not_break_the_filters() {
    alone(module_path!(), "nested_events_do_not_break_the_filters", || {
        let ((one, mut first), (other, mut second)) = (records(), records());
        let subscriber = tracing_subscriber::registry()
            .with(layer(&one).level(Level::INFO).build())
            .with(layer(&other).level(Level::TRACE).build());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        for _ in 0..3 {
            // The nested event is suppressed, but asks the filters.
            info!(value = ?OnDebug(|| trace!("nested")), "outer");
            trace!(value = ?OnDebug(|| info!("nested")), "deep");
            info!("after");
        }
        let first = messages(&mut first);
        assert!(first.iter().all(|text| text != "deep"), "{first:?}");
        let count = |all: &[String], text: &str| all.iter().filter(|message| *message == text).count();
        assert_eq!((count(&first, "outer"), count(&first, "after")), (3, 3));
        assert_eq!(count(&messages(&mut second), "outer"), 3);
    });
}

/// Row 9: an answer that was cached, and a question without an event, leave stale bits. They cost a
/// layer the next event, in the filters of tracing-subscriber, and no other.
#[test]
fn questions_without_events_do_not_break_the_filters() {
    let ((one, mut first), (other, mut second)) = (records(), records());
    let subscriber = tracing_subscriber::registry()
        .with(layer(&one).level(Level::WARN).build())
        .with(layer(&other).level(Level::TRACE).build());
    with_default(subscriber, || {
        for _ in 0..3 {
            let _ = tracing::enabled!(Level::DEBUG);
            warn!("next");
            warn!("warning");
            let _ = tracing::enabled!(Level::TRACE);
            info!("next");
            info!("information");
        }
    });
    let count = |all: &[String], text: &str| all.iter().filter(|message| *message == text).count();
    let (first, second) = (messages(&mut first), messages(&mut second));
    assert_eq!((count(&first, "warning"), count(&first, "information")), (3, 0), "{first:?}");
    assert_eq!((count(&second, "warning"), count(&second, "information")), (3, 3), "{second:?}");
    assert!(count(&first, "next") <= 3 && count(&second, "next") <= 6);
}

#[test]
fn layer_hints_at_its_most_verbose_level() {
    let (bus, _receiver) = records();
    let hint =
        |targets: &str| layer(&bus).targets(targets.parse().unwrap()).build::<Registry>().max_level_hint();
    assert_eq!(hint("info"), Some(LevelFilter::INFO));
    assert_eq!(hint("warn,one=trace"), Some(LevelFilter::TRACE));
    assert_eq!(hint("off"), Some(LevelFilter::OFF));
}

#[test]
fn unset_variable_keeps_the_levels() {
    let (bus, _receiver) = records();
    let set = |variable: &str| layer(&bus).level(Level::DEBUG).levels_from_env(variable);
    let kept = set("BUSLANE_TRACING_TEST_UNSET").unwrap().levels();
    assert_eq!(kept.targets().default_level(), Some(LevelFilter::DEBUG));
}
