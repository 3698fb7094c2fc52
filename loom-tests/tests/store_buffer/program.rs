//! The program of a thread: steps on shared words, in the order of the source.

use std::ops::{Index, IndexMut};
use std::sync::atomic::Ordering;

/// The most words of a scenario.
pub(crate) const WORDS: usize = 10;
/// The most registers of a thread.
const REGISTERS: usize = 4;

/// A word that the threads share: its index, and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) usize, pub(crate) &'static str);

/// The index of a thread's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Register(pub(crate) usize);

/// All registers of a thread; zero at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Registers([u8; REGISTERS]);

impl Index<Register> for Registers {
    type Output = u8;

    fn index(&self, register: Register) -> &u8 {
        &self.0[register.0]
    }
}

impl IndexMut<Register> for Registers {
    fn index_mut(&mut self, register: Register) -> &mut u8 {
        &mut self.0[register.0]
    }
}

/// The value of a store: a constant, or the content of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Is(u8),
    Of(Register),
}

impl From<u8> for Value {
    fn from(value: u8) -> Self {
        Self::Is(value)
    }
}

impl From<Register> for Value {
    fn from(register: Register) -> Self {
        Self::Of(register)
    }
}

/// The fence between two steps of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    /// Nothing: the compiler may swap the two.
    Nothing,
    /// `compiler_fence(SeqCst)`: the asymmetric pair's light fence.
    Compiler,
    /// `fence(SeqCst)`: both fences of the symmetric pair.
    Full,
    /// `fence(SeqCst)` and `membarrier`: the asymmetric pair's heavy fence.
    Membarrier,
}

/// The change that a read-modify-write makes to a word.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// `compare_exchange` from the first to the second.
    FromTo(Value, Value),
    /// `swap`.
    To(Value),
    /// `fetch_add`; wraps around, so that 255 is one less.
    Plus(u8),
}

/// One step. The loads, stores and read-modify-writes are accesses. The steps after them order,
/// block, or are local to the thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Load {
        word: Word,
        into: Register,
        acquire: bool,
    },
    Store {
        word: Word,
        value: Value,
        release: bool,
    },
    Exchange {
        word: Word,
        change: Change,
        into: Register,
        acquire: bool,
        release: bool,
    },
    CompilerFence,
    FullFence,
    Membarrier,
    /// Waits until the word is 0 and sets it to 1.
    Lock(Word),
    /// Waits for the thread's token, and takes it.
    Park,
    /// Gives that thread its token.
    Unpark(usize),
    Compute(fn(&mut Registers)),
    /// Continues there, unless the condition holds.
    Unless(fn(&Registers) -> bool, usize),
    Jump(usize),
    /// Asserts a condition.
    Check(&'static str, fn(&Registers) -> bool),
}

/// The steps of one thread.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
    /// The jumps out of the innermost loop, whose end is not known yet.
    leaving: Vec<usize>,
}

fn acquires(ordering: Ordering) -> bool {
    matches!(ordering, Ordering::Acquire | Ordering::AcqRel)
}

fn releases(ordering: Ordering) -> bool {
    matches!(ordering, Ordering::Release | Ordering::AcqRel)
}

impl Program {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, steps: Vec::new(), leaving: Vec::new() }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn load(self, word: Word, into: Register, ordering: Ordering) -> Self {
        self.step(Step::Load { word, into, acquire: acquires(ordering) })
    }

    pub(crate) fn store(self, word: Word, value: impl Into<Value>, ordering: Ordering) -> Self {
        self.step(Step::Store { word, value: value.into(), release: releases(ordering) })
    }

    fn change(self, word: Word, change: Change, into: Register, ordering: Ordering) -> Self {
        let (acquire, release) = (acquires(ordering), releases(ordering));
        self.step(Step::Exchange { word, change, into, acquire, release })
    }

    /// Adds a `compare_exchange`: `into` gets the old value; the exchange took place if that is
    /// `from`.
    pub(crate) fn exchange(
        self,
        word: Word,
        (from, to): (impl Into<Value>, impl Into<Value>),
        into: Register,
        ordering: Ordering,
    ) -> Self {
        self.change(word, Change::FromTo(from.into(), to.into()), into, ordering)
    }

    pub(crate) fn swap(self, word: Word, to: impl Into<Value>, into: Register, ordering: Ordering) -> Self {
        self.change(word, Change::To(to.into()), into, ordering)
    }

    pub(crate) fn add(self, word: Word, count: u8, into: Register, ordering: Ordering) -> Self {
        self.change(word, Change::Plus(count), into, ordering)
    }

    pub(crate) fn fence(self, fence: Fence) -> Self {
        match fence {
            Fence::Nothing => self,
            Fence::Compiler => self.step(Step::CompilerFence),
            Fence::Full => self.step(Step::FullFence),
            Fence::Membarrier => self.step(Step::FullFence).step(Step::Membarrier),
        }
    }

    /// Runs `body` under a lock.
    pub(crate) fn locked(self, lock: Word, body: impl FnOnce(Self) -> Self) -> Self {
        body(self.step(Step::Lock(lock))).store(lock, 0, Ordering::Release)
    }

    pub(crate) fn park(self) -> Self {
        self.step(Step::Park)
    }

    pub(crate) fn unpark(self, thread: usize) -> Self {
        self.step(Step::Unpark(thread))
    }

    pub(crate) fn compute(self, compute: fn(&mut Registers)) -> Self {
        self.step(Step::Compute(compute))
    }

    pub(crate) fn check(self, what: &'static str, holds: fn(&Registers) -> bool) -> Self {
        self.step(Step::Check(what, holds))
    }

    /// Runs `body` if the condition holds.
    pub(crate) fn when(self, condition: fn(&Registers) -> bool, body: impl FnOnce(Self) -> Self) -> Self {
        let at = self.steps.len();
        let mut this = body(self.step(Step::Unless(condition, 0)));
        this.steps[at] = Step::Unless(condition, this.steps.len());
        this
    }

    /// Repeats `body`, until it [leaves](Self::leave_when).
    pub(crate) fn repeat(mut self, body: impl FnOnce(Self) -> Self) -> Self {
        let (begin, outer) = (self.steps.len(), std::mem::take(&mut self.leaving));
        let mut this = body(self).step(Step::Jump(begin));
        let end = this.steps.len();
        for at in std::mem::replace(&mut this.leaving, outer) {
            this.steps[at] = Step::Jump(end);
        }
        this
    }

    /// Leaves the innermost loop if the condition holds.
    pub(crate) fn leave_when(self, condition: fn(&Registers) -> bool) -> Self {
        self.when(condition, |mut then| {
            then.leaving.push(then.steps.len());
            then.step(Step::Jump(0))
        })
    }
}
