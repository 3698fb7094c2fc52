//! The start, end, lag and return of a journal's subscribers, compared with a list of all events
//! step by step.
#![no_main]

#[expect(clippy::allow_attributes, reason = "an expectation fails in the target that uses every model")]
#[allow(dead_code, reason = "each target uses some of the models")]
#[path = "../../tests/properties/oracle/mod.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use oracle::journal;

fuzz_target!(|data: &[u8]| {
    let Some((setup, rest)) = data.split_first_chunk() else { return };
    let steps = rest.as_chunks().0.iter().copied().map(journal::Op::decode);
    journal::run(journal::Setup::decode(*setup), &steps.collect::<Vec<_>>());
});
