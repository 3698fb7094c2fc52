//! What can be asked for on the command line.

use clap::Parser;
use std::path::PathBuf;

/// Copies standard input to standard output and to each FILE, line by line, through an event bus.
///
/// Ends with 0 when everything was written, 1 when something could not be, 2 when it could not start.
#[derive(Debug, Parser)]
#[command(name = "tee")]
pub(crate) struct Options {
    /// Append to the files instead of writing them anew.
    #[arg(short, long)]
    pub(crate) append: bool,

    /// Read this file instead of standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// Write only the lines that contain TEXT to FILE; may be given several times.
    #[arg(short, long, num_args = 2, value_names = ["TEXT", "FILE"])]
    matching: Vec<String>,

    /// Show on standard error how far it is.
    #[arg(long)]
    pub(crate) progress: bool,

    /// Print the books on standard error at the end: what each output was offered, and what became of it.
    #[arg(long)]
    pub(crate) books: bool,

    /// How many lines each output may be behind before it holds up the input.
    #[arg(long, default_value = "1024", value_name = "LINES")]
    pub(crate) capacity: usize,

    /// Where copies go, apart from standard output.
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
}

impl Options {
    /// The texts to be found, each with the file for the lines that contain it.
    pub(crate) fn matching(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        self.matching.chunks_exact(2).map(|pair| (pair[0].as_str(), PathBuf::from(&pair[1])))
    }
}
