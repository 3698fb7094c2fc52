//! Operations on the three rings, compared with their models step by step: the cases of the
//! property tests, guided by coverage.
#![no_main]

#[expect(clippy::allow_attributes, reason = "an expectation fails in the target that uses every model")]
#[allow(dead_code, reason = "each target uses some of the models")]
#[path = "../../tests/properties/oracle/mod.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use oracle::{blocks, mpmc, spsc, value};

fuzz_target!(|data: &[u8]| {
    let [ring, capacity, rest @ ..] = data else { return };
    let steps = rest.as_chunks().0.iter().copied();
    match ring % 3 {
        0 => spsc::run(value::pick(*capacity, 9) + 1, &steps.map(spsc::Op::decode).collect::<Vec<_>>()),
        1 => mpmc::run(value::pick(*capacity, 9) + 1, &steps.map(mpmc::Op::decode).collect::<Vec<_>>()),
        _ => blocks::run(usize::from(*capacity) + 1, &steps.map(blocks::Op::decode).collect::<Vec<_>>()),
    }
});
