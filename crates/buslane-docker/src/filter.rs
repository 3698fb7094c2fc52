//! Which events are wanted: what the engine is asked for, and the same decision in this process.

use crate::config::{DockerConfigError, Invalid};
use crate::event::DockerEvent;
use crate::kind::{Action, Kind, Scope};
use std::collections::BTreeMap;

/// A filter of events. An event is wanted if for each key that was named one of its values matches;
/// of labels, all must match. As an engine does not compare the kind of an object that a filter names,
/// a filter of the container `web` also wants events of a volume `web`; name the kind as well.
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

    /// Divides the filter into that of the engine and that of this process. Podman before 4.4 compares
    /// actions with names of its own, so that it would send no `die`.
    pub(crate) fn divided(&self, is_here: bool, is_podman: bool) -> (Self, Self) {
        let is_local = |key: &str| is_here || is_podman && key == "event";
        let (local, remote) = self.keys.clone().into_iter().partition(|(key, _)| is_local(key));
        (Self { keys: remote }, Self { keys: local })
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
enum Key {
    Kind,
    Action,
    Scope,
    Label,
    Image,
    /// An object.
    Object,
}

impl Key {
    fn of(key: &str) -> Option<Self> {
        Some(match key {
            "type" => Self::Kind,
            "event" => Self::Action,
            "scope" => Self::Scope,
            "label" => Self::Label,
            "image" => Self::Image,
            "config" | "container" | "daemon" | "network" | "node" | "plugin" | "secret" | "service"
            | "volume" => Self::Object,
            _ => return None,
        })
    }

    fn matches(&self, values: &[String], event: &DockerEvent) -> bool {
        let any = |matches: &dyn Fn(&str) -> bool| values.iter().any(|value| matches(value));
        match self {
            Self::Kind => any(&|value| event.kind().as_str() == value),
            Self::Action => {
                // A name without data, among the values, makes beginnings of all of them.
                let is_prefix = any(&|value| has_data(Action::from_name(value)));
                let full = event.full_action();
                any(&|value| full == value || is_prefix && full.starts_with(value))
            }
            Self::Scope => any(&|value| event.scope().is_some_and(|scope| scope.as_str() == value)),
            Self::Label => values.iter().all(|value| match value.split_once('=') {
                Some((key, wanted)) => event.attribute(key) == Some(wanted),
                None => event.attribute(value).is_some(),
            }),
            Self::Image => {
                let name = if event.kind() == Kind::Image { event.name() } else { event.attribute("image") };
                let known = [event.id(), name.unwrap_or_default()];
                any(&|value| known.iter().any(|known| *known == value || familiar(known) == value))
            }
            // An engine does not compare the kind.
            Self::Object => {
                let name = event.attribute("name").unwrap_or_default();
                any(&|value| event.id().starts_with(value) || name.starts_with(value))
            }
        }
    }
}

fn has_data(action: Action<'_>) -> bool {
    matches!(action, Action::ExecCreate | Action::ExecStart | Action::HealthStatus)
}

/// Returns the short name of an image: without its tag and digest, and without the registry that is
/// the default. A colon upstream of a slash is that of a port.
fn familiar(reference: &str) -> &str {
    let name = match reference.split_once('@') {
        Some((name, digest)) if is_digest(digest) => name,
        // It is no reference.
        Some(_) => return reference,
        None => reference,
    };
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return reference;
    }
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

/// Returns whether a text is an algorithm and at least 32 digits.
fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, digits)| {
        !algorithm.is_empty() && digits.len() >= 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::{Filter, familiar};
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
            (new().raw("event", "exec_start: s"), false),
            (new().raw("event", "exec_start: s").action(Action::HealthStatus), true),
            (new().scope(Scope::Local), true),
            (new().scope(Scope::Swarm), false),
            (new().container("web"), true),
            (new().container("4f"), true),
            (new().container("b"), false),
            (new().volume("web"), true),
            (new().volume("data"), false),
            (new().kind(Kind::Volume).volume("web"), false),
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
    fn image_has_a_short_name() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (reference, name) in [
            ("a", "a"),
            ("a:1", "a"),
            ("r:5000/a", "r:5000/a"),
            ("r:5000/a:1", "r:5000/a"),
            ("docker.io/library/a:1", "a"),
            ("docker.io/team/a", "team/a"),
            (&format!("a@{digest}"), "a"),
            (&format!("r:5000/a:1@{digest}"), "r:5000/a"),
            ("a@sha256:ab", "a@sha256:ab"),
            ("A:1", "A:1"),
        ] {
            assert_eq!(familiar(reference), name);
        }
    }

    #[cfg(feature = "testing")]
    #[test]
    fn scripted_engine_has_the_same_rules() {
        use crate::testing::ScriptedEvent;
        let digest = format!("nginx:1@sha256:{}", "ab".repeat(32));
        let (mut events, mut filters) = (Vec::new(), Vec::new());
        for kind in ["container", "image", "volume"] {
            for action in ["start", "exec_start: sh", "exec_create: sh", "health_status: healthy", "die"] {
                for image in ["nginx:1", &digest, "nginx@sha256:ab", "docker.io/library/nginx", "r:5/nginx:1"]
                {
                    let event = ScriptedEvent::new(kind, action, "abcdef").attribute("color", "red");
                    events.push(event.attribute("name", image).attribute("image", image).at(7));
                }
            }
        }
        for (key, values) in [
            ("event", &["start", "exec_start", "exec_start: s", "health_status", "health", "di"][..]),
            ("type", &["container", "image"]),
            (
                "image",
                &["nginx", "nginx:1", "nginx@sha256", "nginx@sha256:ab", "r:5/nginx", "abcdef", &digest],
            ),
            ("label", &["color", "color=red", "color=blue", "size"]),
            ("container", &["abc", "ngi", "b"]),
            ("volume", &["abc", "ngi", "b"]),
            ("scope", &["local", "swarm"]),
        ] {
            for one in values {
                for other in values {
                    filters.push(Filter::new().raw(key, *one).raw(key, *other));
                }
            }
        }
        for scripted in &events {
            let decoded = event(&scripted.json(true));
            for filter in &filters {
                let there = crate::testing::wants(&filter.to_string(), scripted);
                assert_eq!(filter.matches(&decoded), there, "{filter} of {}", scripted.json(true));
            }
        }
    }
}
