//! What turns records into lines.

use crate::fields::{Field, Value};
use crate::record::{LOG_FILE, LOG_LINE, LOG_TARGET, Record};
use crate::spans::Scope;
use std::fmt;

/// A format of lines: [`Text`](crate::Text) or [`Json`](crate::Json).
pub trait Format: Sealed + Send + 'static {}

/// The methods of a format, which only this crate calls.
#[doc(hidden)]
pub trait Sealed {
    /// Appends the value of a span's field, as a line will show it.
    fn value(value: Value<'_>, text: &mut String);

    /// Appends the line of an event, with its end.
    fn line<const N: usize>(&self, record: &Record<N>, scope: &Scope<'_>, line: &mut String);

    /// Appends a line with a text of this crate.
    fn notice(line: &mut Vec<u8>, text: fmt::Arguments<'_>);
}

/// The parts that a line may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) time: bool,
    pub(crate) target: bool,
    pub(crate) threads: bool,
    pub(crate) source: bool,
}

impl Parts {
    /// Time and target, without thread and source.
    pub(crate) const DEFAULT: Self = Self { time: true, target: true, threads: false, source: false };
}

/// Gives a format a setter for each of its [`Parts`].
macro_rules! setters {
    ($format:ident: $($(#[$doc:meta])* $part:ident,)*) => {
        impl $format {
            /// Returns the format with time and target, and without thread and source.
            #[must_use]
            pub const fn new() -> Self {
                Self($crate::format::Parts::DEFAULT)
            }

            $($(#[$doc])*
            #[must_use]
            pub const fn $part(mut self, $part: bool) -> Self {
                self.0.$part = $part;
                self
            })*
        }

        impl Default for $format {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

pub(crate) use setters;

/// The target of the lines with texts of this crate.
pub(crate) const OWN_TARGET: &str = "buslane";

/// Returns the fields that a line shows: those that stand for the place of an event of the `log`
/// facade are shown as its target, file and line.
pub(crate) fn shown<const N: usize>(record: &Record<N>) -> impl Iterator<Item = Field<'_>> {
    let is_log = record.is_log();
    record.fields().filter(move |field| !is_log || !is_place(field.name()))
}

fn is_place(name: &str) -> bool {
    [LOG_TARGET, LOG_FILE, LOG_LINE, "log.module_path"].contains(&name)
}

/// Returns a field's name without the mark of a raw identifier.
pub(crate) fn bare(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}
