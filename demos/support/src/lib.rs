//! What the programs under `demos/` share: the command line, standard output, the report and its
//! checks, Ctrl-C, processes of their own, and helpers of their tests.

pub mod arguments;
mod audit;
pub mod console;
mod dice;
mod failure;
mod folder;
mod interrupt;
pub mod output;
pub mod process;
mod program;
mod report;
mod sinks;
mod story;
mod style;

pub use audit::Audit;
pub use dice::Dice;
pub use failure::Failure;
pub use folder::Folder;
pub use interrupt::Interrupt;
pub use program::run;
pub use report::{Report, Table, grouped, number_of};
pub use sinks::SinkReport;
pub use story::Story;
pub use style::Mark;
