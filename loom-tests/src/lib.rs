//! Support for the model checks.
