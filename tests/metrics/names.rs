//! The table of families: its names follow the rules, and the documentation has them all.

use buslane::director::DirectorSnapshot;
use buslane::source::MonitorSnapshot;
use buslane::stats::Snapshot;
use buslane::stats::metrics::{Family, Kind, Unit};
use std::collections::HashSet;

fn families() -> Vec<&'static Family> {
    Snapshot::families().chain(MonitorSnapshot::families()).chain(DirectorSnapshot::families()).collect()
}

#[test]
fn names_are_unique() {
    let all = families();
    let names: HashSet<_> = all.iter().map(|family| family.base_name()).collect();
    let otel_names: HashSet<_> = all.iter().map(|family| family.otel_name).collect();
    assert_eq!((names.len(), otel_names.len()), (all.len(), all.len()));
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for Family { name, help, kind, unit, .. } in families() {
        let is_valid = |it: char| it.is_ascii_lowercase() || it == '_';
        assert!(name.starts_with("buslane_") && name.chars().all(is_valid), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        let end = name.strip_suffix("_total").unwrap_or(name);
        assert!(end.ends_with(unit.name()), "{name} does not end in its unit");
        let is_prose = help.ends_with('.') && help.starts_with(|first: char| first.is_ascii_uppercase());
        assert!(is_prose && !help.contains(['\\', '\n', '"']), "{name}: {help}");
    }
}

#[test]
fn otel_names_follow_its_conventions() {
    for Family { otel_name, unit, .. } in families() {
        let is_valid = |it: char| it.is_ascii_lowercase() || it == '.' || it == '_';
        assert!(otel_name.starts_with("buslane.") && otel_name.chars().all(is_valid), "{otel_name}");
        assert!(!otel_name.ends_with("_total") && !otel_name.ends_with(".total"), "{otel_name}");
        let unit_is_annotation = unit.otel_name().starts_with('{') && unit.otel_name().ends_with('}');
        assert!(unit_is_annotation || matches!(unit, Unit::Seconds | Unit::None), "{otel_name}");
    }
}

#[test]
fn documentation_has_a_row_for_each_family() {
    let page = include_str!("../../src/docs/metrics.md");
    for family in Snapshot::families() {
        let (name, otel_name) = (family.name, family.otel_name);
        let row = format!("| `{name}` | `{otel_name}` | {} |", family.kind.prometheus_type());
        assert_eq!(page.lines().filter(|line| line.starts_with(&row)).count(), 1, "{row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `buslane_") && line.contains("` | `buslane."));
    assert_eq!(rows.count(), Snapshot::families().count());
}

#[test]
fn documentation_names_families_of_other_parts() {
    let page = include_str!("../../src/docs/metrics.md");
    for family in MonitorSnapshot::families().chain(DirectorSnapshot::families()) {
        // The first of a row has its whole name, and the others the end of it.
        let end = family.name.splitn(3, '_').nth(2).expect("three parts");
        let end = end.strip_prefix("root_").unwrap_or(end);
        let is_named = page.contains(&format!("`{}`", family.name)) || page.contains(&format!("`_{end}`"));
        assert!(is_named, "{}", family.name);
    }
}
