//! Runs a scenario under many random schedules, or repeats a single one.
//!
//! A seed identifies a schedule. An even seed selects shuttle's random scheduler, which may switch
//! threads at every step. An odd seed selects its PCT scheduler, which runs threads by priorities
//! and changes those at a few steps only. The first finds failures that take many switches; the
//! second finds failures that take few switches at the right steps.
//!
//! | environment | |
//! |---|---|
//! | `BUSLANE_SEEDS` | the number of seeds for each scenario |
//! | `BUSLANE_FIRST_SEED` | the first of them; 0 by default, so that a run repeats itself |
//! | `BUSLANE_REPLAY` | the only seed: that of a failure |
//! | `BUSLANE_SHOW` | if set, each seed is printed before it is played, for a failure that ends the process |

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, Scheduler, UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, FailurePersistence, Runner};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// The default number of seeds.
const SEEDS: u64 = 1000;
/// The number of executions that run twice, to check that a scenario repeats itself.
const TWICE: usize = 5;

/// Runs the scenario with each seed that the environment selects.
///
/// # Panics
/// If an execution fails, by a panic or a deadlock, or does not repeat itself.
pub fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    if let Some(seed) = number("BUSLANE_REPLAY") {
        return play(seed, &scenario);
    }
    let first = number("BUSLANE_FIRST_SEED").unwrap_or(0);
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let shows = std::env::var_os("BUSLANE_SHOW").is_some();
    for seed in (first..).take(number("BUSLANE_SEEDS").unwrap_or(SEEDS) as usize) {
        if shows {
            eprintln!("{name}: seed {seed}");
        }
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| play(seed, &scenario))) {
            eprintln!("{name} fails with seed {seed}; again: BUSLANE_REPLAY={seed} bash .ci/shuttle {name}");
            resume_unwind(payload);
        }
    }
    let inner = RandomScheduler::new_from_seed(first, TWICE);
    run(UncontrolledNondeterminismCheckScheduler::new(inner), &scenario);
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn play(seed: u64, scenario: &Arc<impl Fn() + Send + Sync + 'static>) {
    if seed.is_multiple_of(2) {
        run(RandomScheduler::new_from_seed(seed, 1), scenario);
    } else {
        // Between 1 and 4 changes of priority. The first execution counts the steps, from which the
        // second one chooses.
        let depth = 2 + (seed / 2 % 4) as usize;
        run(PctScheduler::new_from_seed(seed, depth, 2), scenario);
    }
}

fn run(scheduler: impl Scheduler + 'static, scenario: &Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    // A seed identifies the schedule more briefly than shuttle's list of all steps.
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    let scenario = scenario.clone();
    Runner::new(scheduler, config).run(move || scenario());
}
