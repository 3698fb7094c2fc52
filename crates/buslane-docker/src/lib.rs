//! The events of the Docker Engine as a source for [buslane](https://docs.rs/buslane).

#[cfg(all(feature = "testing", unix))]
pub mod testing;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
