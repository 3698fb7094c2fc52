//! What the programs under `demos/` share: exit codes, standard output, Ctrl-C, and helpers of their
//! tests.

pub mod console;
mod failure;
mod folder;
mod interrupt;
pub mod output;

pub use failure::Failure;
pub use folder::Folder;
pub use interrupt::Interrupt;
