//! The events of a scripted engine.

use super::time;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One thing that happens in a [`ScriptedEngine`](crate::testing::ScriptedEngine).
///
/// # Examples
/// ```
/// use buslane_docker::testing::ScriptedEvent;
/// let started = ScriptedEvent::new("container", "start", "c0ffee").attribute("name", "web").attribute("image", "nginx");
/// assert_eq!((started.kind(), started.action(), started.id()), ("container", "start", "c0ffee"));
/// assert_eq!(started.time(), None); // until it happens
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an event happens when an engine emits it"]
pub struct ScriptedEvent {
    kind: String,
    action: String,
    id: String,
    attributes: BTreeMap<String, String>,
    scope: String,
    time: Option<u64>,
}

impl ScriptedEvent {
    /// Returns an event of a kind, such as `container`, with an action, such as `start`, and the id of
    /// what it concerns.
    ///
    /// Its scope is `local`, and its time is when it happens.
    pub fn new(kind: impl Into<String>, action: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            action: action.into(),
            id: id.into(),
            attributes: BTreeMap::new(),
            scope: "local".to_owned(),
            time: None,
        }
    }

    /// Adds an attribute, such as a label or the name.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Sets the scope, `local` or `swarm`.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// Sets the time in nanoseconds since 1970, in place of that of the engine's clock. So events can
    /// have times that are out of order, as those of a swarm do.
    pub fn at(mut self, time: u64) -> Self {
        self.time = Some(time);
        self
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the action.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// Returns the id of what it concerns.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the value of an attribute.
    #[must_use]
    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }

    /// Returns the time in nanoseconds since 1970, once it has one.
    #[must_use]
    pub fn time(&self) -> Option<u64> {
        self.time
    }

    pub(super) fn scope_text(&self) -> &str {
        &self.scope
    }

    /// Writes the event as an engine does. Engines with an API below 1.52 repeat some fields of
    /// containers and images under older names.
    pub(crate) fn json(&self, has_old_names: bool) -> String {
        let Self { kind, action, id, attributes, scope, time } = self;
        let [kind_text, action, id, scope] = [kind, action, id, scope].map(|text| Value::from(text.as_str()));
        let mut json = String::from("{");
        let mut add =
            |text: std::fmt::Arguments<'_>| json.write_fmt(text).expect("a string accepts every text");
        if has_old_names && (kind == "container" || kind == "image") {
            add(format_args!(r#""status":{action},"id":{id},"#));
            if let (Some(image), "container") = (attributes.get("image"), kind.as_str()) {
                add(format_args!(r#""from":{},"#, Value::from(image.as_str())));
            }
        }
        add(format_args!(r#""Type":{kind_text},"Action":{action},"Actor":{{"ID":{id},"Attributes":{{"#));
        for (index, (name, value)) in attributes.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            add(format_args!("{comma}{}:{}", Value::from(name.as_str()), Value::from(value.as_str())));
        }
        let nanos = time.unwrap_or(0);
        add(format_args!(r#"}}}},"scope":{scope},"time":{},"timeNano":{nanos}}}"#, time::seconds(nanos)));
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_fields_of_an_engine() {
        let event =
            ScriptedEvent::new("container", "die", "ab").attribute("image", "i").attribute("a\"", "é");
        assert_eq!(
            event.clone().at(1_500_000_002).json(true),
            r#"{"status":"die","id":"ab","from":"i","Type":"container","Action":"die","Actor":{"ID":"ab","Attributes":{"a\"":"é","image":"i"}},"scope":"local","time":1,"timeNano":1500000002}"#
        );
        let text = event.json(false);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["Actor"]["Attributes"]["image"], &value["status"]), (&"i".into(), &Value::Null));
    }
}
