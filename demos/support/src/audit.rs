//! The checks of a report: which counts must be equal at the end, and whether they are.

use crate::{Failure, Mark};
use serde::Serialize;
use std::fmt;

/// The checks of a report, in the order in which they were made.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Audit(Vec<Check>);

#[derive(Debug, Serialize)]
struct Check {
    holds: bool,
    text: String,
}

impl Audit {
    /// Adds a statement that holds or does not.
    pub fn check(&mut self, holds: bool, text: impl Into<String>) {
        self.0.push(Check { holds, text: text.into() });
    }

    /// Adds two counts that must be equal.
    pub fn equal(&mut self, (left, left_count): (&str, u64), (right, right_count): (&str, u64)) {
        let holds = left_count == right_count;
        let sign = if holds { "=" } else { "≠" };
        self.check(holds, format!("{left}: {left_count} {sign} {right_count} {right}"));
    }

    /// Returns whether every check holds.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.failed().next().is_none()
    }

    /// Returns an error with every check that failed.
    ///
    /// # Errors
    /// [`Failure::Unbalanced`] if there is one.
    pub fn verdict(&self) -> Result<(), Failure> {
        let failed: Vec<_> = self.failed().map(|check| check.text.clone()).collect();
        if failed.is_empty() { Ok(()) } else { Err(Failure::Unbalanced(failed)) }
    }

    fn failed(&self) -> impl Iterator<Item = &Check> {
        self.0.iter().filter(|check| !check.holds)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark::good_if(self.is_balanced(), Mark::Bad)
    }
}

/// One line, and one more for each check that failed.
impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, failed) = (self.0.len(), self.failed().count());
        if failed == 0 {
            return write!(f, "balances: all {total} checks hold");
        }
        write!(f, "does not balance: {failed} of {total} checks failed")?;
        self.failed().try_for_each(|check| write!(f, "\n    {}", check.text))
    }
}
