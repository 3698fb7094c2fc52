//! The command line.

use crate::column::Column;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// The shortest and the longest interval that a service accepts.
const INTERVALS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(60)];

/// Shows the sinks of a running buslane event bus: rates, depths, drops and lag.
#[derive(Debug, Parser)]
#[command(
    name = "buslane-top",
    version,
    after_help = "The service must call buslane_inspect::serve, or serve_from_env with BUSLANE_INSPECT=unix.\n\
                  While the screen is shown, ? lists the keys.\n\
                  Exit code: 0 after q and --once, 1 failure, 2 invalid arguments, 128 + n after signal n."
)]
pub(crate) struct Arguments {
    /// A process id, the path of a socket, or 127.0.0.1:PORT; without it, the services of this user
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,

    /// The time between two frames, from 100ms to 60s
    #[arg(long, default_value = "1s", value_name = "INTERVAL", value_parser = interval)]
    pub(crate) every: Duration,

    /// Print a table of the sinks, with rates over one interval, and end
    #[arg(long)]
    pub(crate) once: bool,

    /// With --once: print one frame as the service sent it
    #[arg(long, requires = "once", conflicts_with_all = ["bus", "sort", "reverse"])]
    pub(crate) json: bool,

    /// Show only the sinks of this bus
    #[arg(long, value_name = "NAME")]
    pub(crate) bus: Option<String>,

    /// Sort by this column
    #[arg(long, value_enum, value_name = "COLUMN")]
    pub(crate) sort: Option<Column>,

    /// Reverse the order
    #[arg(long)]
    pub(crate) reverse: bool,

    /// Append each frame to this file, as a line of JSON
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub(crate) output: Option<PathBuf>,

    /// Show the frames of such a file, one in each interval
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    pub(crate) replay: Option<PathBuf>,
}

/// Parses an interval, such as `500ms`, `1s` or `1m`.
fn interval(text: &str) -> Result<Duration, String> {
    let valid = || "use a time from 100ms to 60s, such as 500ms or 2s".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| valid())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" | "" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    let interval = milliseconds.map(Duration::from_millis).ok_or_else(valid)?;
    let [least, most] = INTERVALS;
    if (least..=most).contains(&interval) { Ok(interval) } else { Err(valid()) }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, interval};
    use clap::error::ErrorKind;
    use clap::{CommandFactory, Parser};
    use std::time::Duration;

    fn parse(line: &str) -> Result<Arguments, ErrorKind> {
        Arguments::try_parse_from(line.split(' ')).map_err(|error| error.kind())
    }

    #[test]
    fn command_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn intervals_have_a_unit_and_limits() {
        let valid = [("1s", 1000), ("2", 2000), ("100ms", 100), ("60000ms", 60_000), ("1m", 60_000)];
        for (text, milliseconds) in valid {
            assert_eq!(interval(text), Ok(Duration::from_millis(milliseconds)));
        }
        for text in ["", "s", "0s", "99ms", "61s", "1h", "-1s", "1.5s", "18446744073709551615s"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_that_contradict_are_refused() {
        assert_eq!(parse("buslane-top --json").unwrap_err(), ErrorKind::MissingRequiredArgument);
        for line in ["--once --json --bus a", "--replay a --output b", "--replay a 12"] {
            assert_eq!(
                parse(&format!("buslane-top {line}")).unwrap_err(),
                ErrorKind::ArgumentConflict,
                "{line}"
            );
        }
        assert_eq!(parse("buslane-top --sort color").unwrap_err(), ErrorKind::InvalidValue);
        let arguments = parse("buslane-top 12 --every 500ms --sort drops --reverse").unwrap();
        assert_eq!((arguments.target.as_deref(), arguments.every), (Some("12"), Duration::from_millis(500)));
    }
}
