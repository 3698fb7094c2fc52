//! What is published.

use serde::Serialize;

const REPOSITORIES: [&str; 3] = ["library/hello-world", "library/alpine", "team/service"];

/// What was done to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Push,
    Pull,
}

/// What a registry reports about a push or a pull.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Notification {
    /// Counts up. By it, endpoints recognize what they have received before.
    pub(crate) id: u64,
    pub(crate) action: Action,
    target: Target,
}

#[derive(Clone, Debug, Serialize)]
struct Target {
    repository: &'static str,
    tag: String,
}

impl Notification {
    /// The n-th one: every third is a pull.
    pub(crate) fn number(id: u64) -> Self {
        let action = if id % 3 == 2 { Action::Pull } else { Action::Push };
        let repository = REPOSITORIES[(id % 7 % 3) as usize];
        Self { id, action, target: Target { repository, tag: format!("v{}", id / 10) } }
    }

    pub(crate) fn is_push(&self) -> bool {
        self.action == Action::Push
    }
}
