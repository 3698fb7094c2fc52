//! The command line.

use clap::Parser;
use demo_support::arguments::number;
use std::path::PathBuf;

/// Copies standard input to standard output and to each FILE, line by line, through an event bus.
#[derive(Debug, Parser)]
#[command(
    name = "tee",
    after_help = "A slow output slows down the input; no line is lost.\n\
                  Exit code: 0 every line was written, 1 a line was not, 2 it could not start."
)]
pub(crate) struct Options {
    /// Append to the files instead of replacing them
    #[arg(short, long)]
    pub(crate) append: bool,

    /// Read this file instead of standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// Write only the lines that contain TEXT to FILE; repeatable
    #[arg(short, long, num_args = 2, value_names = ["TEXT", "FILE"])]
    matching: Vec<String>,

    /// Show the progress on standard error
    #[arg(long)]
    pub(crate) progress: bool,

    /// Report on standard error what each output received
    #[arg(long)]
    pub(crate) report: bool,

    /// The same, as one JSON document
    #[arg(long)]
    pub(crate) json: bool,

    /// Lines that an output may lag before the input waits
    #[arg(long, default_value = "1024", value_name = "LINES", value_parser = capacity())]
    pub(crate) capacity: usize,

    /// Files for copies, besides standard output
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
}

impl Options {
    /// The texts to find, each with the file for the lines that contain it.
    pub(crate) fn matching(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        self.matching.chunks_exact(2).map(|pair| (pair[0].as_str(), PathBuf::from(&pair[1])))
    }
}

fn capacity() -> impl Fn(&str) -> Result<usize, String> + Clone {
    number("a whole number of at least 1")
}
