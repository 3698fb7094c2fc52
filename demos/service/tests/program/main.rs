//! The service demo, run as a program: what it delivers, under load and when it is stopped, and how it
//! fails.

#![cfg(unix)]

// The client of the comparison, so that there is one.
#[path = "../../src/compare/client.rs"]
mod client;
mod comparing;
mod crashing;
mod feeding;
mod logging;
mod metering;
mod ordering;
mod overload;
mod starting;
mod stopping;
mod support;
