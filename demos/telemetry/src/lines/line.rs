//! The event: a line of text.

use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// How much of a line is shown in the report.
const SHOWN: usize = 90;

/// A line of text. The sinks share it: a clone is a count.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    #[serde(serialize_with = "as_str")]
    pub(crate) text: Arc<str>,
}

fn as_str<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped: what a line holds must not drive the terminal.
        let shown: String = self.text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        let more = if self.text.chars().nth(SHOWN).is_some() { "…" } else { "" };
        write!(f, "line {}: {shown}{more}", self.number)
    }
}
