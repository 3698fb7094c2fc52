//! The judgement of a feed can fail. These tests need no engine.

use super::happened::{Happened, judge};
use buslane::source::{Gap, GapReason, Update};
use buslane_docker::DockerEvent;

fn event(name: &str) -> Update<DockerEvent> {
    let text = format!(r#"{{"Type":"volume","Action":"create","Actor":{{"ID":"{name}"}}}}"#);
    Update::Event(serde_json::from_str(&text).unwrap())
}

fn happened(names: &[&str]) -> Vec<Happened> {
    let of = |name: &&str| Happened { kind: "volume".into(), action: "create".into(), id: (*name).into() };
    names.iter().map(of).collect()
}

fn gap() -> Gap {
    Gap::new(GapReason::HistoryLost)
}

#[test]
fn loss_at_a_gap_is_counted() {
    let all = happened(&["a", "b", "c", "d"]);
    let judgement = judge(&all, &[event("a"), Update::Gap(gap().missed(2)), event("d"), Update::Gap(gap())]);
    assert_eq!((judgement.shown, judgement.missing, judgement.gaps.len()), (2, 2, 2));
}

#[test]
#[should_panic(expected = "missing without a gap")]
fn loss_without_a_gap_fails() {
    judge(&happened(&["a", "b", "c"]), &[Update::Gap(gap()), event("a"), event("c")]);
}

#[test]
#[should_panic(expected = "missing without a gap")]
fn loss_at_the_end_fails() {
    judge(&happened(&["a", "b"]), &[event("a")]);
}

#[test]
#[should_panic(expected = "did not happen, or is repeated")]
fn repeated_event_fails() {
    judge(&happened(&["a", "b"]), &[event("a"), event("b"), Update::Gap(gap()), event("b")]);
}

#[test]
#[should_panic(expected = "the number of a gap")]
fn wrong_number_of_a_gap_fails() {
    judge(&happened(&["a", "b"]), &[Update::Gap(gap().missed(2)), event("b")]);
}
