//! The command line: values with their limits, and errors of one line.

use crate::Failure;
use clap::Parser;
use std::str::FromStr;
use std::time::Duration;

/// Reads the arguments of the process. `--help` prints its text and ends the process.
///
/// An option accepts a negative number as its value, so that its own error says what is valid.
///
/// # Errors
/// [`Failure::Setup`] with one line that names the argument and what would be valid.
pub fn parse<O: Parser>() -> Result<O, Failure> {
    let command = O::command().mut_args(|argument| {
        let is_option = argument.get_action().takes_values() && !argument.is_positional();
        argument.allow_negative_numbers(is_option)
    });
    command.try_get_matches().and_then(|matches| O::from_arg_matches(&matches)).map_err(|error| {
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

/// Returns a parser of numbers and settings; `valid` completes "use ...".
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
