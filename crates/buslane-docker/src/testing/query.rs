//! Which events a client asked for.

use super::event::ScriptedEvent;
use super::time;
use serde_json::Value;
use std::collections::BTreeMap;

/// The parameters of a request for events.
#[derive(Debug, Default)]
pub(super) struct EventQuery {
    pub(super) since: Option<u64>,
    pub(super) until: Option<u64>,
    /// Whether events at the two times themselves are left out, as podman does.
    is_exclusive: bool,
    filters: Filters,
}

impl EventQuery {
    /// Reads the parameters, or returns what the engine answers to invalid ones.
    pub(super) fn parse<'a>(
        parameter: impl Fn(&str) -> Option<&'a str>,
        is_exclusive: bool,
    ) -> Result<Self, String> {
        let time = |name| match parameter(name).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => match time::parse(text) {
                Some(time) => Ok(Some(time)),
                None => Err(format!("invalid value for \"{name}\": {text}")),
            },
        };
        let (since, until) = (time("since")?, time("until")?);
        if since.zip(until).is_some_and(|(since, until)| until < since) {
            return Err("`since` time cannot be after `until` time".to_owned());
        }
        let mut filters = Filters::parse(parameter("filters").unwrap_or(""))?;
        if is_exclusive && let Some(actions) = filters.0.get_mut("event") {
            // Podman compares with a name of its own.
            actions
                .iter_mut()
                .filter(|action| *action == "die")
                .for_each(|action| *action = "died".to_owned());
        }
        Ok(Self { since, until, is_exclusive, filters })
    }

    /// Returns the events of the history, in order of the history.
    ///
    /// Without a time there are none. The search goes back from the newest, and ends at the first
    /// event that is too old, as that of an engine does.
    pub(super) fn replay<'a, T: AsRef<ScriptedEvent>>(
        &self,
        history: impl DoubleEndedIterator<Item = &'a T>,
    ) -> Vec<&'a T> {
        if self.since.is_none() && self.until.is_none() {
            return Vec::new();
        }
        let is_new = |event: &&T| !self.is_too_old(event.as_ref());
        let mut events: Vec<_> = history
            .rev()
            .take_while(is_new)
            .filter(|event| !self.is_too_late(event.as_ref()) && self.filters.matches((*event).as_ref()))
            .collect();
        events.reverse();
        events
    }

    /// Returns whether a client gets an event that happens now.
    pub(super) fn is_live(&self, event: &ScriptedEvent) -> bool {
        // Docker compares only the history with the times.
        let is_in_time = !self.is_exclusive || !self.is_too_old(event) && !self.is_too_late(event);
        is_in_time && self.filters.matches(event)
    }

    /// Returns whether the body ends, now that the engine's clock shows this time.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    fn is_too_old(&self, event: &ScriptedEvent) -> bool {
        let first = self.since.map_or(0, |since| since.saturating_add(self.is_exclusive.into()));
        event.time().is_some_and(|time| time < first)
    }

    fn is_too_late(&self, event: &ScriptedEvent) -> bool {
        let last = self.until.map_or(u64::MAX, |until| until.saturating_sub(self.is_exclusive.into()));
        event.time().is_some_and(|time| time > last)
    }
}

/// The filters: for each key some values, of which one must match.
#[derive(Debug, Default)]
struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Reads `{"type": ["container"]}`, or the older `{"type": {"container": true}}`.
    fn parse(text: &str) -> Result<Self, String> {
        let error = || format!("invalid filter: {text}");
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Ok(Value::Object(keys)) = serde_json::from_str(text) else { return Err(error()) };
        let mut filters = BTreeMap::new();
        for (key, values) in keys {
            let values: Option<Vec<String>> = match values {
                Value::Array(values) => {
                    values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
                }
                // A value that is false is there, and matches nothing.
                Value::Object(values) => Some(
                    values
                        .into_iter()
                        .map(|(value, is_set)| if is_set == true { value } else { "\0".to_owned() })
                        .collect(),
                ),
                _ => None,
            };
            filters.insert(key, values.ok_or_else(error)?);
        }
        Ok(Self(filters))
    }

    /// Returns whether an event matches each key. Unknown keys are ignored.
    fn matches(&self, event: &ScriptedEvent) -> bool {
        self.0.iter().filter(|(_, values)| !values.is_empty()).all(|(key, values)| {
            let any = |matches: &dyn Fn(&str) -> bool| values.iter().any(|value| matches(value));
            match key.as_str() {
                "type" => any(&|value| value == event.kind()),
                "scope" => any(&|value| value == event.scope_text()),
                "event" => {
                    let fuzzy = ["health_status", "exec_create", "exec_start"];
                    let is_fuzzy = any(&|value| fuzzy.contains(&value));
                    any(&|value| event.action() == value || is_fuzzy && event.action().starts_with(value))
                }
                "label" => values.iter().all(|label| has_label(event, label)),
                "image" => any(&|value| is_image(event, value)),
                "config" | "container" | "daemon" | "network" | "node" | "plugin" | "secret" | "service"
                | "volume" => {
                    let name = event.get("name").unwrap_or("");
                    any(&|value| event.id().starts_with(value) || name.starts_with(value))
                }
                _ => true,
            }
        })
    }
}

fn has_label(event: &ScriptedEvent, label: &str) -> bool {
    match label.split_once('=') {
        Some((name, value)) => event.get(name) == Some(value),
        None => event.get(label).is_some(),
    }
}

/// Returns whether a client with a filter gets an event.
#[cfg(test)]
pub(crate) fn wants(filter: &str, event: &ScriptedEvent) -> bool {
    Filters::parse(filter).is_ok_and(|filters| filters.matches(event))
}

/// Returns whether an event concerns an image, with or without its tag and digest.
fn is_image(event: &ScriptedEvent, value: &str) -> bool {
    let name = event.get(if event.kind() == "image" { "name" } else { "image" }).unwrap_or("");
    let without_tag = |text: &'_ str| -> String {
        let (whole, digest) = text.split_once('@').unwrap_or((text, ""));
        // A digest has 32 digits at least. What is no reference stays as it is.
        let has_digits = digest.split(':').nth(1).is_some_and(|digits| digits.len() >= 32);
        if whole != text && !has_digits || whole.contains(|letter: char| letter.is_ascii_uppercase()) {
            return text.to_owned();
        }
        // The colon before a port is followed by a path.
        let name =
            whole.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(whole, |(name, _)| name);
        name.trim_start_matches("docker.io/").trim_start_matches("library/").to_owned()
    };
    [event.id(), name].into_iter().any(|text| text == value || without_tag(text) == value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn event(kind: &str, action: &str, time: u64) -> Arc<ScriptedEvent> {
        let event =
            ScriptedEvent::new(kind, action, "abcdef").attribute("name", "web").attribute("color", "red");
        Arc::new(event.attribute("image", "registry:5000/nginx:1.25").at(time))
    }

    fn query(since: &'static str, filters: &'static str) -> EventQuery {
        let parameter = move |name: &str| match name {
            "since" => Some(since),
            "filters" => Some(filters),
            _ => None,
        };
        EventQuery::parse(parameter, false).unwrap()
    }

    #[test]
    fn replay_ends_at_the_first_event_that_is_too_old() {
        let history = [event("a", "a", 9), event("b", "b", 3), event("c", "c", 8)];
        let kinds = |query: &EventQuery| {
            query
                .replay(history.iter())
                .iter()
                .map(|event| event.kind().to_owned())
                .collect::<Vec<_>>()
                .concat()
        };
        assert_eq!(kinds(&query("0.000000008", "")), "c");
        assert_eq!(kinds(&query("0.000000003", "")), "abc");
        assert_eq!(kinds(&EventQuery::default()), "");
        let bounded = EventQuery { since: Some(3), until: Some(8), ..EventQuery::default() };
        assert_eq!(kinds(&bounded), "bc");
        let exclusive = EventQuery { is_exclusive: true, ..bounded };
        assert_eq!(kinds(&exclusive), "");
    }

    #[test]
    fn filters_match_as_those_of_an_engine() {
        let matches =
            |filters: &'static str| query("", filters).is_live(&event("container", "exec_start: sh", 1));
        for filters in [
            r#"{"type":["container"]}"#,
            r#"{"type":{"container":true}}"#,
            r#"{"event":["exec_start"],"container":["abc"]}"#,
            r#"{"container":["we"]}"#,
            r#"{"label":["color","color=red"]}"#,
            r#"{"image":["registry:5000/nginx"]}"#,
            r#"{"bogus":["x"],"type":[]}"#,
        ] {
            assert!(matches(filters), "{filters}");
        }
        for filters in [
            r#"{"type":["image"]}"#,
            r#"{"type":{"container":false}}"#,
            r#"{"event":["exec"]}"#,
            r#"{"label":["color=red","size"]}"#,
            r#"{"image":["nginx"]}"#,
            r#"{"scope":["swarm"]}"#,
        ] {
            assert!(!matches(filters), "{filters}");
        }
    }

    #[test]
    fn invalid_parameters_are_refused() {
        for (name, value) in
            [("since", "1h"), ("until", "x"), ("filters", "[]"), ("filters", r#"{"type":1}"#)]
        {
            let result = EventQuery::parse(|asked| (asked == name).then_some(value), false);
            assert!(result.is_err(), "{name}={value}");
        }
        let reversed = |name: &str| {
            Some(if name == "since" {
                "2"
            } else if name == "until" {
                "1"
            } else {
                ""
            })
        };
        assert!(EventQuery::parse(reversed, false).is_err());
    }
}
