//! The table of containers, which is made of events alone.

use buslane_docker::{Action, DockerEvent, Kind};
use demo_support::{Table, grouped};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// The most containers that are known.
const MOST: usize = 4096;

/// The containers that events were about, and the number of events about anything else.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Containers {
    /// By id.
    #[serde(skip)]
    known: BTreeMap<String, Container>,
    /// The containers that are no longer known, and the number of their events.
    #[serde(skip)]
    forgotten: (u64, u64),
    /// Events of each kind.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// Whether events may be missing, so that a container may be in another state.
    pub(crate) is_doubtful: bool,
}

#[derive(Clone, Debug)]
struct Container {
    name: String,
    image: String,
    state: State,
    events: u64,
    last: String,
    /// The number of the last event, over all containers.
    changed: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Unknown,
    Created,
    Running,
    Paused,
    Exited(Option<i32>),
    Removed,
}

impl Containers {
    /// Takes an event in.
    pub(crate) fn apply(&mut self, event: &DockerEvent) {
        *self.kinds.entry(event.kind().to_string()).or_default() += 1;
        if event.kind() != Kind::Container {
            return;
        }
        let changed = self.events();
        let container = self.known.entry(event.id().to_owned()).or_insert_with(|| Container {
            name: String::new(),
            image: String::new(),
            state: State::Unknown,
            events: 0,
            last: String::new(),
            changed,
        });
        container.events += 1;
        container.changed = changed;
        container.last = event.full_action().to_owned();
        // A rename has the new name.
        if let Some(name) = event.name() {
            container.name = name.to_owned();
        }
        if let Some(image) = event.image() {
            container.image = image.to_owned();
        }
        container.state = match event.action() {
            Action::Create => State::Created,
            Action::Start | Action::Restart | Action::Unpause => State::Running,
            Action::Pause => State::Paused,
            Action::Die => State::Exited(event.exit_code()),
            Action::Destroy | Action::Remove => State::Removed,
            _ => container.state,
        };
        if self.known.len() > MOST {
            self.forget();
        }
    }

    /// Forgets a quarter of the containers: those that were removed, and then those whose last event is
    /// the oldest.
    fn forget(&mut self) {
        let mut all: Vec<_> = self
            .known
            .iter()
            .map(|(id, one)| (!matches!(one.state, State::Removed), one.changed, id.clone()))
            .collect();
        all.sort_unstable();
        for (_, _, id) in all.iter().take(MOST / 4) {
            if let Some(container) = self.known.remove(id) {
                self.forgotten.0 += 1;
                self.forgotten.1 += container.events;
            }
        }
    }

    /// Returns the number of events taken in.
    pub(crate) fn events(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Returns the number of events about containers, as the rows count them.
    pub(crate) fn events_in_rows(&self) -> u64 {
        self.forgotten.1 + self.known.values().map(|container| container.events).sum::<u64>()
    }

    /// Returns the number of containers.
    pub(crate) fn len(&self) -> u64 {
        self.forgotten.0 + self.known.len() as u64
    }

    /// Returns a table of at most `rows` containers, those that changed last at the end.
    pub(crate) fn table(&self, rows: usize) -> Table {
        let mut all: Vec<_> = self.known.iter().collect();
        all.sort_by_key(|(_, container)| container.changed);
        let mut table = Table::new(["containers", "image", "state", "events", "last event"]);
        for (id, Container { name, image, state, events, last, .. }) in &all[all.len().saturating_sub(rows)..]
        {
            let name = if name.is_empty() { id.chars().take(12).collect() } else { name.clone() };
            table.row([name, image.clone(), state.to_string(), grouped(*events), last.clone()]);
        }
        table
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited(Some(code)) => return write!(f, "exited {code}"),
            Self::Exited(None) => "exited",
            Self::Removed => "removed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Containers, MOST};

    /// Takes in an event of a container.
    fn apply(containers: &mut Containers, number: usize, action: &str) {
        let json = format!(
            r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"c{number}"}},"timeNano":1}}"#
        );
        containers.apply(&serde_json::from_str(&json).unwrap());
    }

    /// Returns the first two words of each row.
    fn rows(containers: &Containers, most: usize) -> Vec<(String, String)> {
        let table = containers.table(most).to_string();
        let words = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Some((words.next()?, words.next()?))
        };
        table.lines().skip(1).filter_map(words).collect()
    }

    #[test]
    fn table_shows_the_containers_that_changed_last() {
        let mut containers = Containers::default();
        assert_eq!(rows(&containers, 3), []);
        for number in 0..9 {
            apply(&mut containers, number, "create");
        }
        let row = |name: &str, state: &str| (name.to_owned(), state.to_owned());
        let created = ["c6", "c7", "c8"].map(|name| row(name, "created"));
        assert_eq!(rows(&containers, 3), created);
        // One that was hidden changes, and moves to the end.
        apply(&mut containers, 2, "start");
        assert_eq!(rows(&containers, 3), [row("c7", "created"), row("c8", "created"), row("c2", "running")]);
        assert_eq!((rows(&containers, 0), rows(&containers, 100).len()), (Vec::new(), 9));
        assert_eq!((containers.len(), containers.events_in_rows()), (9, 10));
    }

    #[test]
    fn memory_of_containers_is_bounded() {
        let mut containers = Containers::default();
        for number in 0..3 * MOST {
            for action in ["create", "destroy"] {
                apply(&mut containers, number, action);
            }
        }
        assert!(containers.known.len() <= MOST);
        assert_eq!((containers.len(), containers.events_in_rows()), (3 * MOST as u64, 6 * MOST as u64));
    }
}
