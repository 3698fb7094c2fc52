//! What happened in the engine, and whether a feed shows it.

use super::api;
use buslane::source::{Gap, Update};
use buslane_docker::{DockerEvent, Kind};
use std::path::Path;

/// One thing that a test did, which makes one event. Names are used once, so no two are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Happened {
    pub(crate) kind: String,
    pub(crate) action: String,
    pub(crate) id: String,
}

impl Happened {
    pub(crate) fn of(event: &DockerEvent) -> Self {
        let (kind, action) = (event.kind().to_string(), event.full_action().to_owned());
        Self { kind, action, id: event.id().to_owned() }
    }

    fn volume(action: &str, name: &str) -> Self {
        Self { kind: Kind::Volume.to_string(), action: action.to_owned(), id: name.to_owned() }
    }
}

/// The list of what a test did, in order.
#[derive(Debug, Default)]
pub(crate) struct Deeds(pub(crate) Vec<Happened>);

impl Deeds {
    /// Creates and removes volumes, which makes two events each.
    pub(crate) fn volumes(&mut self, socket: &Path, prefix: &str, count: usize) {
        for n in 0..count {
            let name = format!("{prefix}-{n}");
            api::create_volume(socket, &name);
            self.0.push(Happened::volume("create", &name));
            api::remove_volume(socket, &name);
            self.0.push(Happened::volume("destroy", &name));
        }
    }
}

/// What a feed shows of what happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) shown: u64,
    /// Events that are not shown, each at a gap.
    pub(crate) missing: u64,
    pub(crate) gaps: Vec<Gap>,
}

/// Checks that a feed shows everything that happened, once and in order, except at its gaps; and that
/// a gap with a number is right.
#[track_caller]
pub(crate) fn judge(happened: &[Happened], updates: &[Update<DockerEvent>]) -> Judgement {
    let mut judgement = Judgement::default();
    let mut rest = happened;
    let mut gap: Option<Gap> = None;
    let skip = |judgement: &mut Judgement, gap: Option<Gap>, skipped: &[Happened]| {
        let count = skipped.len() as u64;
        assert!(gap.is_some() || count == 0, "missing without a gap: {skipped:?}");
        if let Some(number) = gap.and_then(|gap| gap.missed) {
            assert_eq!(number, count, "the number of a gap, for {skipped:?}");
        }
        judgement.missing += count;
    };
    for update in updates {
        match update {
            Update::Event(event) => {
                let event = Happened::of(event);
                let found = rest.iter().position(|happened| *happened == event);
                let at =
                    found.unwrap_or_else(|| panic!("{event:?} did not happen, or is repeated or too late"));
                skip(&mut judgement, gap.take(), &rest[..at]);
                rest = &rest[at + 1..];
                judgement.shown += 1;
            }
            Update::Gap(next) => {
                // Two in a row are one of an unknown number.
                gap = Some(gap.map_or(*next, |first| Gap::new(first.reason)));
                judgement.gaps.push(*next);
            }
            _ => {}
        }
    }
    skip(&mut judgement, gap, rest);
    assert_eq!(judgement.shown + judgement.missing, happened.len() as u64);
    judgement
}
