//! Visits every state that a scenario can reach, and reports the way to an invalid one.
//!
//! A violation is one of these:
//! - a check that fails,
//! - an end state that breaks a demand,
//! - a state from which no end is reachable: a wake-up was lost, even if another thread still runs.

use super::machine::{Action, Machine, State, THREADS, Violation};
use super::program::{Program, Register, Step, WORDS, Word};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;

/// A demand on the end state, after the text of its violation.
type Demand = (&'static str, fn(&End<'_>) -> bool);

/// Threads, the words that they share, and the demands on the end state.
#[derive(Debug, Default)]
pub(crate) struct Scenario {
    memory: [u8; WORDS],
    names: [&'static str; WORDS],
    programs: Vec<Program>,
    end: Option<Demand>,
}

/// The state when all threads are done.
#[derive(Debug)]
pub(crate) struct End<'a>(&'a State);

impl End<'_> {
    pub(crate) fn memory(&self, word: Word) -> u8 {
        self.0.memory(word)
    }

    pub(crate) fn register(&self, thread: usize, register: Register) -> u8 {
        self.0.registers(thread)[register]
    }
}

impl Scenario {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets the initial value of a word.
    pub(crate) fn word(mut self, word: Word, value: u8) -> Self {
        self.memory[word.0] = value;
        self
    }

    /// Adds a thread; its number is the count of the earlier ones.
    pub(crate) fn thread(mut self, program: Program) -> Self {
        assert!(self.programs.len() < THREADS, "too many threads");
        for step in &program.steps {
            if let Step::Load { word, .. }
            | Step::Store { word, .. }
            | Step::Exchange { word, .. }
            | Step::Lock(word) = step
            {
                let name = &mut self.names[word.0];
                assert!(name.is_empty() || *name == word.1, "{} and {name} share an index", word.1);
                *name = word.1;
            }
        }
        self.programs.push(program);
        self
    }

    /// Adds a demand on the end state.
    pub(crate) fn finally(mut self, what: &'static str, holds: fn(&End<'_>) -> bool) -> Self {
        self.end = Some((what, holds));
        self
    }

    fn describe(&self, action: Action) -> String {
        let name = |thread: usize| self.programs[thread].name;
        match action {
            Action::Perform { thread, step } => {
                format!("{}: {:?}", name(thread), self.programs[thread].steps[step])
            }
            Action::Drain { thread, word, value } => {
                format!("{}'s buffer: {} = {value} reaches memory", name(thread), self.names[word as usize])
            }
            Action::Barrier { by, on } => {
                format!("{}'s membarrier interrupts {} in order", name(by), name(on))
            }
        }
    }
}

/// The result of an exploration.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The number of states reached: all reachable states, if nothing was violated.
    pub(crate) states: usize,
    /// The violation, and the shortest way to it.
    pub(crate) violation: Option<(Violation, String)>,
}

/// The reached states, each by its number.
struct Reached {
    states: Vec<State>,
    numbers: HashMap<State, u32>,
    /// The first way into each state.
    ways: Vec<Option<(u32, Action)>>,
    /// The predecessors of each state.
    origins: Vec<(u32, u32)>,
}

impl Reached {
    fn add(&mut self, state: State, way: Option<(u32, Action)>) -> u32 {
        let number = self.states.len() as u32;
        match self.numbers.entry(state) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                free.insert(number);
                self.states.push(state);
                self.ways.push(way);
                number
            }
        }
    }

    fn way_to(&self, scenario: &Scenario, state: u32, last: Option<Action>) -> String {
        let mut actions: Vec<Action> = last.into_iter().collect();
        let mut at = state;
        while let Some((before, action)) = self.ways[at as usize] {
            actions.push(action);
            at = before;
        }
        let mut text = String::new();
        for action in actions.into_iter().rev() {
            writeln!(text, "  {}", scenario.describe(action)).expect("a string accepts every write");
        }
        text
    }

    /// Returns a state from which none of these ends is reachable.
    fn first_without_end(&self, ends: &[u32]) -> Option<u32> {
        let mut ending = vec![false; self.states.len()];
        let mut origins: Vec<Vec<u32>> = vec![Vec::new(); self.states.len()];
        for (from, to) in &self.origins {
            origins[*to as usize].push(*from);
        }
        let mut open = ends.to_vec();
        while let Some(state) = open.pop() {
            if !std::mem::replace(&mut ending[state as usize], true) {
                open.extend(&origins[state as usize]);
            }
        }
        ending.iter().position(|ending| !ending).map(|state| state as u32)
    }
}

/// Visits every state that the machine allows in the scenario.
pub(crate) fn explore(machine: Machine, scenario: &Scenario) -> Verdict {
    let programs = &scenario.programs;
    let mut first = State::new(scenario.memory);
    for thread in 0..programs.len() {
        first.settle(programs, thread).expect("nothing is violated before the first step");
    }
    let mut reached =
        Reached { states: Vec::new(), numbers: HashMap::new(), ways: Vec::new(), origins: Vec::new() };
    reached.add(first, None);
    let (mut at, mut ends) = (0, Vec::new());
    let mut found = None;
    // Breadth first, so that the way to a violation is the shortest.
    while at < reached.states.len() && found.is_none() {
        let (state, number) = (reached.states[at], at as u32);
        if state.is_over(programs) {
            ends.push(number);
            found =
                scenario.end.filter(|(_, holds)| !holds(&End(&state))).map(|(what, _)| (what, number, None));
        }
        state.each_next(machine, programs, |action, after, verdict| match verdict {
            Ok(()) => {
                let to = reached.add(after, Some((number, action)));
                reached.origins.push((number, to));
            }
            Err(what) => found = found.or(Some((what, number, Some(action)))),
        });
        at += 1;
    }
    let found = found
        .or_else(|| reached.first_without_end(&ends).map(|state| ("a thread waits forever", state, None)));
    let violation = found.map(|(what, state, last)| (what, reached.way_to(scenario, state, last)));
    Verdict { states: reached.states.len(), violation }
}
