//! Time limits of tests, scaled to the machine.

use std::time::Duration;

/// Returns `limit` times `BUSLANE_TIME_SCALE`, which is read at compile time.
///
/// An emulator, an interpreter and a sanitizer are many times slower than a processor: the scripts
/// in `.ci` that use one set the variable. It never shortens a limit, and a limit never measures
/// speed.
///
/// # Panics
/// When the variable is not a whole number of at least 1: a compile error in a constant.
pub const fn scaled(limit: Duration) -> Duration {
    let scale = match option_env!("BUSLANE_TIME_SCALE") {
        Some(text) => match u32::from_str_radix(text, 10) {
            Ok(scale) => scale,
            Err(_) => panic!("BUSLANE_TIME_SCALE is a whole number"),
        },
        None => 1,
    };
    assert!(scale > 0, "BUSLANE_TIME_SCALE is at least 1");
    limit.saturating_mul(scale)
}
