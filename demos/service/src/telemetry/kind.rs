//! The kinds of telemetry.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Off,
    Buslane,
    NonBlocking,
    Appender,
    Plain,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Off, Self::Buslane, Self::NonBlocking, Self::Appender, Self::Plain];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Buslane => "buslane",
            Self::NonBlocking => "non_blocking",
            Self::Appender => "appender",
            Self::Plain => "plain",
        }
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
