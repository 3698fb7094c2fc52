//! The recorded counts, and the conditions on the new ones.

use crate::callgrind::{Count, count};
use crate::cases::CASES;
use crate::code::Code;
use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The function that publishes into the lane of one queue.
const HOT: &str = "publish_into_one_queue";
/// The absolute growth that is allowed for a count with few instructions.
const ROUNDING: f64 = 0.05;

/// The promised maximum of locked instructions per event, by case.
const PROMISES: [(&str, f64); 5] = [
    ("publish, no sink", 0.0),
    ("publish, 1 queue", 0.0),
    ("publish, 2 queues", 0.0),
    ("publish, filtered", 0.0),
    ("publish, 1 queue, DropOldest", 1.0),
];

/// Cases of equal cost: the second has more of something that must not affect a publish.
const EQUAL: [(&str, &str); 1] = [("publish, Journal, 1 stalled", "publish, Journal, 1 of 1000 stalled")];

/// Counts everything, and compares the counts with the file or writes it.
pub(crate) fn check(file: &Path, record: bool, tolerance: f64) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let code = Code::of(&program, HOT)?;
    let recorded = if record { String::new() } else { fs::read_to_string(file)? };
    let recorded = read(&recorded);
    let mut complaints = String::new();
    let (instructions, locked) = code.hot();
    println!("{HOT}: {instructions} instructions, {} of them locked or a fence", locked.len());
    for instruction in &locked {
        let _ = writeln!(complaints, "{HOT} must not have: {instruction}");
    }
    let mut text = String::from(
        "# Instructions for each event, and how many of them are locked or a fence. `bash .ci/counts --record` writes this.\n",
    );
    println!("{:<38}{:>14}{:>10}{:>10}", "case", "instructions", "locked", "recorded");
    let mut counts = HashMap::new();
    for (case, _) in CASES {
        let count = count(&program, case, &code)?;
        counts.insert(case, count);
        let known = recorded.get(case);
        let before = known.map_or_else(|| "–".to_owned(), |known| format!("{:.2}", known.instructions));
        println!("{case:<38}{:>14.2}{:>10.2}{before:>10}", count.instructions, count.locked);
        let _ = writeln!(text, "{case}: {:.2} {:.2}", count.instructions, count.locked);
        match known {
            Some(known) => compare(&mut complaints, case, known, count, tolerance),
            None if record => {}
            None => {
                let _ = writeln!(complaints, "{case}: there is no recorded count");
            }
        }
        for (_, most) in PROMISES.iter().filter(|(promised, most)| *promised == case && count.locked > *most)
        {
            let _ = writeln!(complaints, "{case}: {:.2} locked instructions, {most} promised", count.locked);
        }
    }
    for (few, many) in EQUAL {
        compare(&mut complaints, many, &counts[few], counts[many], tolerance);
    }
    if record {
        fs::write(file, text)?;
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(format!("{complaints}If the change is intended: bash .ci/counts --record").into())
}

fn compare(complaints: &mut String, case: &str, known: &Count, count: Count, tolerance: f64) {
    let most = known.instructions * (1.0 + tolerance / 100.0) + ROUNDING;
    if count.instructions > most {
        let _ = writeln!(
            complaints,
            "{case}: {:.2} instructions, {:.2} recorded",
            count.instructions, known.instructions
        );
    }
    if count.locked > known.locked + ROUNDING {
        let _ = writeln!(
            complaints,
            "{case}: {:.2} locked instructions, {:.2} recorded",
            count.locked, known.locked
        );
    }
}

/// `case: instructions locked`, a line each.
fn read(text: &str) -> HashMap<&str, Count> {
    text.lines()
        .filter_map(|line| {
            let (case, counts) = line.split_once(": ")?;
            let (instructions, locked) = counts.split_once(' ')?;
            Some((case, Count { instructions: instructions.parse().ok()?, locked: locked.parse().ok()? }))
        })
        .collect()
}
