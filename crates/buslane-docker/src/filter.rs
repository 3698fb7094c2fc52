//! Which events are wanted: what the engine is asked for, and the same decision in this process.

use crate::config::{DockerConfigError, Invalid};
use crate::event::DockerEvent;
use crate::kind::{Action, Kind, Scope};
use std::collections::BTreeMap;

/// A filter of events. An event is wanted if for each key that was named one of its values matches;
/// of labels, all must match.
///
/// An engine ignores a key that it does not know, and then sends everything. So the keys that are
/// known have methods, and [`raw`](Self::raw) is for those of newer engines.
///
/// # Examples
/// The starts and ends of all containers of one project:
/// ```
/// use buslane_docker::{Action, Filter, Kind};
/// let filter = Filter::new()
///     .kind(Kind::Container)
///     .action(Action::Start)
///     .action(Action::Die)
///     .label_value("com.docker.compose.project", "shop");
/// assert_eq!(
///     filter.to_string(),
///     r#"{"event":["start","die"],"label":["com.docker.compose.project=shop"],"type":["container"]}"#
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a filter does nothing until a source has it"]
pub struct Filter {
    keys: BTreeMap<String, Vec<String>>,
}

macro_rules! objects {
    ($($(#[$doc:meta])* $method:ident = $key:literal,)*) => {
        $($(#[$doc])*
        pub fn $method(self, name: impl Into<String>) -> Self {
            self.raw($key, name)
        })*
    };
}

impl Filter {
    /// Makes a filter that wants every event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants events about this kind of object.
    pub fn kind(self, kind: Kind<'_>) -> Self {
        self.raw("type", kind.as_str())
    }

    /// Wants events with this action.
    ///
    /// A command or a state of health after `: ` may be named with [`raw`](Self::raw) and the key
    /// `event`.
    pub fn action(self, action: Action<'_>) -> Self {
        self.raw("event", action.as_str())
    }

    /// Wants events from here.
    pub fn scope(self, scope: Scope) -> Self {
        self.raw("scope", scope.as_str())
    }

    /// Wants events about an object with this label, whatever its value.
    pub fn label(self, key: &str) -> Self {
        self.raw("label", key)
    }

    /// Wants events about an object with this value of a label.
    pub fn label_value(self, key: &str, value: &str) -> Self {
        self.raw("label", format!("{key}={value}"))
    }

    objects! {
        /// Wants events about this configuration, by name or identifier or the beginning of one.
        config = "config",
        /// Wants events about this container, by name or identifier or the beginning of one.
        container = "container",
        /// Wants events about this engine, by name or identifier or the beginning of one.
        daemon = "daemon",
        /// Wants events about this image and its containers, with or without a tag.
        image = "image",
        /// Wants events about this network, by name or identifier or the beginning of one.
        network = "network",
        /// Wants events about this node, by name or identifier or the beginning of one.
        node = "node",
        /// Wants events about this plugin, by name or identifier or the beginning of one.
        plugin = "plugin",
        /// Wants events about this secret, by name or identifier or the beginning of one.
        secret = "secret",
        /// Wants events about this service, by name or identifier or the beginning of one.
        service = "service",
        /// Wants events about this volume, by name or the beginning of one.
        volume = "volume",
    }

    /// Wants events for which the engine finds that this key has this value.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::Filter;
    /// let filter = Filter::new().raw("event", "health_status: unhealthy");
    /// assert_eq!(filter.to_string(), r#"{"event":["health_status: unhealthy"]}"#);
    /// ```
    pub fn raw(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.keys.entry(key.into()).or_default().push(value.into());
        self
    }

    /// Returns whether the filter wants every event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks the filter; `is_local` if it is applied in this process.
    pub(crate) fn check(&self, is_local: bool) -> Result<(), DockerConfigError> {
        for (key, values) in &self.keys {
            if key.is_empty() || values.iter().any(String::is_empty) {
                return Err(Invalid::EmptyFilter.into());
            }
            if is_local && Key::of(key).is_none() {
                return Err(Invalid::RemoteFilter(key.clone()).into());
            }
        }
        Ok(())
    }

    /// Returns whether the filter wants an event, by the rules of the engine.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::{DockerEvent, Filter, Kind};
    /// let event: DockerEvent = serde_json::from_str(r#"{"Type":"volume","Action":"mount"}"#)?;
    /// assert!(Filter::new().kind(Kind::Volume).matches(&event));
    /// assert!(!Filter::new().kind(Kind::Image).matches(&event));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn matches(&self, event: &DockerEvent) -> bool {
        self.keys.iter().all(|(key, values)| Key::of(key).is_none_or(|key| key.matches(values, event)))
    }
}

/// Writes the JSON that the engine gets.
impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(&self.keys).map_err(|_| std::fmt::Error)?)
    }
}

/// How the values of a key are compared.
enum Key<'a> {
    Kind,
    Action,
    Scope,
    Label,
    Image,
    /// An object of this kind.
    Object(&'a str),
}

impl<'a> Key<'a> {
    fn of(key: &'a str) -> Option<Self> {
        Some(match key {
            "type" => Self::Kind,
            "event" => Self::Action,
            "scope" => Self::Scope,
            "label" => Self::Label,
            "image" => Self::Image,
            "config" | "container" | "daemon" | "network" | "node" | "plugin" | "secret" | "service"
            | "volume" => Self::Object(key),
            _ => return None,
        })
    }

    fn matches(&self, values: &[String], event: &DockerEvent) -> bool {
        let any = |matches: &dyn Fn(&str) -> bool| values.iter().any(|value| matches(value));
        match self {
            Self::Kind => any(&|value| event.kind().as_str() == value),
            Self::Action => any(&|value| is_action(event, value)),
            Self::Scope => any(&|value| event.scope().is_some_and(|scope| scope.as_str() == value)),
            Self::Label => values.iter().all(|value| match value.split_once('=') {
                Some((key, wanted)) => event.attribute(key) == Some(wanted),
                None => event.attribute(value).is_some(),
            }),
            Self::Image => {
                let of_image = (event.kind() == Kind::Image).then(|| (event.id(), event.name()));
                let of_container = (event.kind() == Kind::Container).then(|| ("", event.image()));
                let Some((id, name)) = of_image.or(of_container) else { return false };
                let name = name.unwrap_or_default();
                any(&|value| {
                    [id, name]
                        .iter()
                        .any(|known| !known.is_empty() && (*known == value || untagged(known) == value))
                })
            }
            Self::Object(kind) => {
                let name = event.name().unwrap_or_default();
                event.kind().as_str() == *kind
                    && any(&|value| event.id().starts_with(value) || name.starts_with(value))
            }
        }
    }
}

fn is_action(event: &DockerEvent, value: &str) -> bool {
    let has_data = matches!(event.action(), Action::ExecCreate | Action::ExecStart | Action::HealthStatus);
    let full = event.full_action();
    full == value || has_data && full.starts_with(value)
}

/// Returns the reference of an image without its tag. A colon upstream of a slash is that of a port.
fn untagged(reference: &str) -> &str {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, untagged};
    use crate::event::DockerEvent;
    use crate::kind::{Action, Kind, Scope};

    fn event(json: &str) -> DockerEvent {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn keys_are_joined_by_and_values_by_or() {
        let started = event(
            r#"{"Type":"container","Action":"exec_start: sh","scope":"local","Actor":{"ID":"4f2a",
            "Attributes":{"name":"web-1","image":"registry:5000/app:7","tier":"front","zone":""}}}"#,
        );
        let new = Filter::new;
        for (filter, matches) in [
            (new(), true),
            (new().kind(Kind::Container).kind(Kind::Image), true),
            (new().kind(Kind::Container).action(Action::Die), false),
            (new().action(Action::ExecStart), true),
            (new().raw("event", "exec_start: bash"), false),
            (new().scope(Scope::Local), true),
            (new().scope(Scope::Swarm), false),
            (new().container("web"), true),
            (new().container("4f"), true),
            (new().container("b"), false),
            (new().volume("web"), false),
            (new().image("registry:5000/app"), true),
            (new().image("registry:5000/app:7"), true),
            (new().image("registry"), false),
            (new().label("zone").label_value("tier", "front"), true),
            (new().label("zone").label_value("tier", "back"), false),
            (new().label("rack"), false),
        ] {
            assert_eq!(filter.matches(&started), matches, "{filter}");
        }
    }

    #[test]
    fn filters_that_no_engine_would_apply_are_invalid() {
        assert!(Filter::new().check(true).is_ok());
        assert!(Filter::new().container("").check(false).is_err());
        assert!(Filter::new().raw("", "x").check(false).is_err());
        assert!(Filter::new().raw("pod", "x").check(false).is_ok());
        assert!(Filter::new().raw("pod", "x").check(true).is_err());
    }

    #[test]
    fn tag_of_an_image_is_after_the_last_slash() {
        assert_eq!(["a:1", "a", "r:5000/a", "r:5000/a:1"].map(untagged), ["a", "a", "r:5000/a", "r:5000/a"]);
    }
}
