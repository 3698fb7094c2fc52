//! Operations on a channel with any policy, and on a retry with any policy, compared with their
//! models step by step.
#![no_main]

#[expect(clippy::allow_attributes, reason = "an expectation fails in the target that uses every model")]
#[allow(dead_code, reason = "each target uses some of the models")]
#[path = "../../tests/properties/oracle/mod.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use oracle::{channel, retry};

fuzz_target!(|data: &[u8]| {
    let [which, setup @ ..] = data else { return };
    if which.is_multiple_of(4) {
        let Some((setup, rest)) = setup.split_first_chunk() else { return };
        let steps = rest.as_chunks().0.iter().copied().map(retry::Op::decode);
        retry::run(retry::Setup::decode(*setup), &steps.collect::<Vec<_>>());
    } else {
        let Some((setup, rest)) = setup.split_first_chunk() else { return };
        let steps = rest.as_chunks().0.iter().copied().map(channel::Op::decode);
        channel::run(channel::Setup::decode(*setup), &steps.collect::<Vec<_>>());
    }
});
