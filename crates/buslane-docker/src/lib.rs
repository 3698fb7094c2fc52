//! The events of the Docker Engine as a source for [buslane](https://docs.rs/buslane).

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
