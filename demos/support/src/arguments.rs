//! The command line: values with their limits, and errors of one line.

use crate::Failure;
use clap::Parser;
use std::str::FromStr;
use std::time::Duration;

/// Reads the arguments of the process. `--help` prints its text and ends the process.
///
/// # Errors
/// [`Failure::Setup`] with one line that names the argument and what would be valid.
pub fn parse<O: Parser>() -> Result<O, Failure> {
    O::try_parse().map_err(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        Failure::Setup(one_line(&error.to_string()))
    })
}

/// Joins the first paragraphs of an error, up to its usage text.
fn one_line(error: &str) -> String {
    let is_about_error = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more");
    let lines = error.lines().map(str::trim).take_while(is_about_error).filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    format!("{} (--help lists the options)", text.trim_start_matches("error: "))
}

/// Returns a parser of numbers; `valid` completes "use ...".
pub fn number<T: FromStr>(valid: &'static str) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| text.parse().map_err(|_| format!("use {valid}"))
}

/// Parses a number of milliseconds, zero included. Whether zero is valid is checked where it is
/// used.
///
/// # Errors
/// What would be valid.
pub fn milliseconds(text: &str) -> Result<Duration, String> {
    number("a whole number of milliseconds, such as 100")(text).map(Duration::from_millis)
}
