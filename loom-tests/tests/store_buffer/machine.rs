//! The machines: how a processor, and the compiler before it, may reorder the threads' steps.
//!
//! # What both machines do
//! - A store enters its thread's store buffer and reaches memory at any later time. A thread's own
//!   loads see its newest buffered store of the word. All other threads see memory, which is the
//!   same for all.
//! - A read-modify-write acts on memory, and so does `unpark`. `fence(SeqCst)` waits until the
//!   thread's own buffer is empty.
//! - `membarrier` interrupts each other thread, in sequence and in any order. It waits for a time
//!   at which the thread's buffer is empty and no later step has been done before an earlier one.
//! - The compiler may swap two accesses of different words which no fence, branch, lock or register
//!   connects, unless the later one is a Release or the earlier one an Acquire. `membarrier` does
//!   not undo the compiler's swaps.
//!
//! # Differences
//! - [`Tso`](Machine::Tso), as x86-64: buffers are first in, first out; a read-modify-write, a lock
//!   and `unpark` require an empty one. The processor swaps nothing else. A compiler fence stops
//!   the compiler.
//! - [`Weak`](Machine::Weak): only stores of the same word leave the buffer in order, and a Release
//!   after all earlier stores. The processor swaps what the compiler may swap, and ignores compiler
//!   fences. A read-modify-write orders what its ordering requires, and no more. Later loads may
//!   run between its load and its store, although no other store of that word can separate the two.
//!
//! # What neither covers
//! - Memory is single: all other threads see a store at the same time. So POWER, and what C11
//!   allows beyond that, are not covered.
//! - No step runs ahead of a branch, and no value is guessed. Real processors with weak memory do
//!   load ahead of branches.
//! - A read-modify-write fails only if the value differs. There is no time.

use super::order::{Swapper, may_overtake};
use super::program::{Change, Program, Registers, Step, Value, WORDS, Word};

/// The rules of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// Total store order: store buffers, and nothing else out of order.
    Tso,
    /// Stores and loads out of order, except as Acquire, Release, fences and dependencies require.
    Weak,
}

/// The most stores in a thread's buffer. No scenario comes near this limit.
const BUFFER: usize = 6;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Buffered {
    word: u8,
    value: u8,
    release: bool,
}

/// The state of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Thread {
    /// The first step that is not done.
    at: u8,
    /// The later steps that are already done: bit `n` for step `at + n`.
    early: u32,
    /// The read-modify-write at `at` has loaded and not stored.
    reserved: bool,
    /// The wake token of the thread, which `unpark` sets and a park takes.
    token: bool,
    /// The threads that its `membarrier` has still to interrupt; bit 7 is set while one is in
    /// progress.
    owed: u8,
    registers: Registers,
    buffer: [Buffered; BUFFER],
    buffered: u8,
}

const UNDER_WAY: u8 = 1 << 7;

/// The complete state at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    memory: [u8; WORDS],
    threads: [Thread; THREADS],
}

/// The most threads of a scenario.
pub(crate) const THREADS: usize = 4;

/// A transition between two states.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// The thread does its step, possibly ahead of earlier ones.
    Perform { thread: usize, step: usize },
    /// A buffered store reaches memory.
    Drain { thread: usize, word: u8, value: u8 },
    /// The thread's `membarrier` has interrupted the other thread in order.
    Barrier { by: usize, on: usize },
}

/// The text of a violation.
pub(crate) type Violation = &'static str;

impl Thread {
    fn done(&mut self, step: usize) {
        let ahead = step - self.at as usize;
        self.early |= 1 << ahead;
        while self.early & 1 == 1 {
            self.early >>= 1;
            self.at += 1;
        }
    }

    fn jump(&mut self, to: usize) {
        self.at = u8::try_from(to).expect("a short program");
    }

    fn is_early(&self, step: usize) -> bool {
        step > self.at as usize && self.early >> (step - self.at as usize) & 1 == 1
    }

    fn entries(&self) -> &[Buffered] {
        &self.buffer[..self.buffered as usize]
    }

    fn has_buffered(&self, word: Word) -> bool {
        self.entries().iter().any(|entry| entry.word as usize == word.0)
    }

    fn buffer(&mut self, entry: Buffered) {
        self.buffer[self.buffered as usize] = entry;
        self.buffered += 1;
    }

    fn unbuffer(&mut self, index: usize) -> Buffered {
        let entry = self.buffer[index];
        self.buffer.copy_within(index + 1.., index);
        self.buffered -= 1;
        // Equal states must be equal bit by bit.
        self.buffer[self.buffered as usize] = Buffered::default();
        entry
    }

    fn value(&self, value: Value) -> u8 {
        match value {
            Value::Is(value) => value,
            Value::Of(register) => self.registers[register],
        }
    }
}

impl State {
    pub(crate) fn new(memory: [u8; WORDS]) -> Self {
        let thread = Thread {
            at: 0,
            early: 0,
            reserved: false,
            token: false,
            owed: 0,
            registers: Registers::default(),
            buffer: [Buffered::default(); BUFFER],
            buffered: 0,
        };
        Self { memory, threads: [thread; THREADS] }
    }

    pub(crate) fn memory(&self, word: Word) -> u8 {
        self.memory[word.0]
    }

    pub(crate) fn registers(&self, thread: usize) -> &Registers {
        &self.threads[thread].registers
    }

    /// Returns whether every thread is done, and memory holds every store.
    pub(crate) fn is_over(&self, programs: &[Program]) -> bool {
        programs
            .iter()
            .zip(&self.threads)
            .all(|(program, thread)| thread.at as usize == program.steps.len() && thread.buffered == 0)
    }

    /// Runs the thread's local steps, up to its next access.
    pub(crate) fn settle(&mut self, programs: &[Program], thread: usize) -> Result<(), Violation> {
        let this = &mut self.threads[thread];
        while let Some(step) = programs[thread].steps.get(this.at as usize) {
            let next = this.at as usize + 1;
            match *step {
                Step::Compute(compute) => compute(&mut this.registers),
                Step::Check(what, holds) if !holds(&this.registers) => return Err(what),
                Step::Check(..) | Step::CompilerFence => {}
                Step::Unless(condition, to) if !condition(&this.registers) => {
                    this.jump(to);
                    continue;
                }
                Step::Unless(..) => {}
                Step::Jump(to) => {
                    this.jump(to);
                    continue;
                }
                _ => break,
            }
            this.done(next - 1);
        }
        Ok(())
    }

    /// Returns whether the thread's step may be done now, before earlier steps that are not done.
    fn may_be_early(&self, program: &Program, thread: usize, step: usize, by: Swapper) -> bool {
        let this = &self.threads[thread];
        let at = this.at as usize;
        (at..step).all(|earlier| match program.steps[earlier] {
            _ if this.is_early(earlier) => true,
            Step::CompilerFence => by == Swapper::Processor,
            access => {
                let reserved = earlier == at && this.reserved && by == Swapper::Processor;
                may_overtake(access, program.steps[step], reserved)
            }
        })
    }

    /// Returns whether an interrupt finds the thread with an empty buffer and no step ahead of its
    /// order, except by the compiler.
    fn is_in_order(&self, program: &Program, thread: usize) -> bool {
        let this = &self.threads[thread];
        let first = this.at as usize;
        let last = first + (u32::BITS - this.early.leading_zeros()) as usize;
        this.buffered == 0
            && (first + 1..last)
                .filter(|step| this.is_early(*step))
                // Compiler fences are done in passing, and never count as ahead.
                .filter(|step| !matches!(program.steps[*step], Step::CompilerFence))
                .all(|step| self.may_be_early(program, thread, step, Swapper::Compiler))
    }

    /// Returns whether another thread is between the load and the store of a read-modify-write of
    /// this word.
    fn is_reserved(&self, programs: &[Program], by_other_than: usize, word: usize) -> bool {
        programs.iter().zip(&self.threads).enumerate().any(|(thread, (program, this))| {
            thread != by_other_than
                && this.reserved
                && matches!(program.steps[this.at as usize], Step::Exchange { word: other, .. } if other.0 == word)
        })
    }

    /// Calls `next` with every possible transition.
    pub(crate) fn each_next(
        &self,
        machine: Machine,
        programs: &[Program],
        mut next: impl FnMut(Action, State, Result<(), Violation>),
    ) {
        for (thread, program) in programs.iter().enumerate() {
            self.each_drain(machine, programs, thread, &mut next);
            let this = &self.threads[thread];
            let at = this.at as usize;
            for step in at..program.steps.len() {
                if step > at {
                    // The window ends at the first step that is not an access.
                    if !matches!(
                        program.steps[step],
                        Step::Load { .. } | Step::Store { .. } | Step::Exchange { .. } | Step::CompilerFence
                    ) {
                        break;
                    }
                    let by = match machine {
                        Machine::Tso => Swapper::Compiler,
                        Machine::Weak => Swapper::Processor,
                    };
                    if this.is_early(step)
                        || matches!(program.steps[step], Step::CompilerFence)
                        || !self.may_be_early(program, thread, step, by)
                    {
                        continue;
                    }
                }
                self.perform(machine, programs, (thread, step), &mut next);
            }
        }
    }

    fn each_drain(
        &self,
        machine: Machine,
        programs: &[Program],
        thread: usize,
        next: &mut impl FnMut(Action, State, Result<(), Violation>),
    ) {
        let entries = self.threads[thread].entries();
        for (index, entry) in entries.iter().enumerate() {
            let before = &entries[..index];
            let allowed = match machine {
                Machine::Tso => index == 0,
                Machine::Weak if entry.release => index == 0,
                Machine::Weak => before.iter().all(|other| other.word != entry.word),
            };
            if allowed && !self.is_reserved(programs, thread, entry.word as usize) {
                let mut after = *self;
                let Buffered { word, value, .. } = after.threads[thread].unbuffer(index);
                after.memory[word as usize] = value;
                next(Action::Drain { thread, word, value }, after, Ok(()));
            }
        }
    }

    /// Does one step, if it is possible.
    fn perform(
        &self,
        machine: Machine,
        programs: &[Program],
        (thread, step): (usize, usize),
        next: &mut impl FnMut(Action, State, Result<(), Violation>),
    ) {
        let action = Action::Perform { thread, step };
        let mut after = *self;
        let this = &mut after.threads[thread];
        let empty = this.buffered == 0;
        match programs[thread].steps[step] {
            Step::Load { word, into, .. } => {
                let own = this.entries().iter().rev().find(|entry| entry.word as usize == word.0);
                this.registers[into] = own.map_or(self.memory[word.0], |entry| entry.value);
            }
            Step::Store { word, value, release } => {
                let (word, value) = (word.0 as u8, this.value(value));
                this.buffer(Buffered { word, value, release });
            }
            Step::Exchange { word, change, into, release, .. } => {
                let early = step > this.at as usize;
                let drained =
                    if machine == Machine::Tso || release { empty } else { !this.has_buffered(word) };
                if !drained || self.is_reserved(programs, thread, word.0) {
                    return;
                }
                let found = self.memory[word.0];
                let to = match change {
                    Change::FromTo(from, _) if this.value(from) != found => None,
                    Change::FromTo(_, to) | Change::To(to) => Some(this.value(to)),
                    Change::Plus(count) => Some(found.wrapping_add(count)),
                };
                this.registers[into] = found;
                if let Some(to) = to {
                    if machine == Machine::Weak && !early && !this.reserved {
                        this.reserved = true;
                        return next(action, after, Ok(()));
                    }
                    this.reserved = false;
                    after.memory[word.0] = to;
                }
            }
            Step::FullFence if !empty => return,
            Step::FullFence => {}
            Step::Membarrier => return self.perform_membarrier(programs, thread, next),
            Step::Lock(word) => {
                let drained = if machine == Machine::Tso { empty } else { !this.has_buffered(word) };
                if !drained || self.memory[word.0] != 0 {
                    return;
                }
                after.memory[word.0] = 1;
            }
            Step::Park if !this.token => return,
            Step::Park => this.token = false,
            Step::Unpark(_) if !empty => return,
            Step::Unpark(other) => after.threads[other].token = true,
            own => unreachable!("{own:?} is a local step"),
        }
        after.threads[thread].done(step);
        let verdict = after.settle(programs, thread);
        next(action, after, verdict);
    }

    /// Interrupts one more thread with its full barrier; completes after the last one.
    fn perform_membarrier(
        &self,
        programs: &[Program],
        by: usize,
        next: &mut impl FnMut(Action, State, Result<(), Violation>),
    ) {
        let mut begun = *self;
        let this = &mut begun.threads[by];
        if this.owed == 0 {
            this.owed = UNDER_WAY | ((1 << programs.len()) - 1) & !(1 << by);
        }
        for (on, program) in programs.iter().enumerate() {
            if begun.threads[by].owed >> on & 1 == 1 && begun.is_in_order(program, on) {
                let mut after = begun;
                let this = &mut after.threads[by];
                this.owed &= !(1 << on);
                let mut verdict = Ok(());
                if this.owed == UNDER_WAY {
                    this.owed = 0;
                    this.done(this.at as usize);
                    verdict = after.settle(programs, by);
                }
                next(Action::Barrier { by, on }, after, verdict);
            }
        }
    }
}
