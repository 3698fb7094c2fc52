//! The broadcast ring, compared with the list of all values ever written.

use super::value::{Census, Step, Value, pick};
use buslane::ring::blocks::{Look, OnLag, Reader, SharedWriter, Source, Writer, ring};
use std::collections::HashSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Writes `n` values and shows them together.
    Write(usize),
    /// Puts `n` values without showing them; only a single writer does this.
    Put(usize),
    Commit,
    TakeStale,
    /// Takes at most `n` values.
    Take(usize, usize),
    /// Takes all known values, in one slice.
    TakeSlice(usize),
    Look(usize),
    AddReader(u8),
    DropReader(usize),
    Seek(usize, u8),
    SetOnLag(usize, bool),
    /// Replaces the single writer with a shared one from here on.
    Share,
    Close,
}

impl Op {
    pub(crate) fn decode([code, one, two]: Step) -> Self {
        let reader = usize::from(one);
        match code % 64 {
            0..18 => Self::Write(pick(one, 20) + 1),
            18..21 => Self::Put(pick(one, 20) + 1),
            21..23 => Self::Commit,
            23..25 => Self::TakeStale,
            25..35 => Self::Take(reader, pick(two, 40) + 1),
            35..43 => Self::TakeSlice(reader),
            43..48 => Self::Look(reader),
            48..54 => Self::AddReader(two),
            54..56 => Self::DropReader(reader),
            56..58 => Self::Seek(reader, two),
            58..61 => Self::SetOnLag(reader, two.is_multiple_of(2)),
            61..63 => Self::Share,
            _ => Self::Close,
        }
    }
}

/// The writer of the ring.
enum Pen {
    One(Writer<Value>),
    Shared(SharedWriter<Value>),
    Closed,
}

struct Seat {
    reader: Reader<Value>,
    cursor: u64,
    on_lag: OnLag,
}

struct World {
    census: Census,
    capacity: u64,
    block_len: u64,
    pen: Pen,
    source: Source<Value>,
    seats: Vec<Seat>,
    /// The number of values written, and the number that readers may see.
    written: u64,
    shown: u64,
    /// The values that came back out of the ring, and must never be seen again.
    gone: HashSet<u64>,
}

/// Runs a case; panics where ring and model differ. The value at a position carries its number.
pub(crate) fn run(capacity: usize, ops: &[Op]) {
    let census = Census::default();
    let (writer, source) = ring::<Value>(capacity).expect("a small ring");
    let block_len = source.block_len() as u64;
    let mut world = World {
        census: census.clone(),
        capacity: capacity as u64,
        block_len,
        pen: Pen::One(writer),
        source,
        seats: Vec::new(),
        written: 0,
        shown: 0,
        gone: HashSet::new(),
    };
    for op in ops {
        world.step(*op);
        world.check();
    }
    drop(world);
    assert_eq!(census.alive(), 0, "values outlive their ring");
}

impl World {
    fn step(&mut self, op: Op) {
        match op {
            Op::Write(count) => self.write(count),
            Op::Put(count) => {
                if matches!(self.pen, Pen::One(_)) {
                    (0..count).for_each(|_| self.put());
                }
            }
            Op::Commit => {
                if let Pen::One(writer) = &mut self.pen {
                    writer.commit();
                    self.shown = self.written;
                }
            }
            Op::TakeStale => self.take_stale(),
            Op::Take(reader, count) => {
                if let Some(at) = self.seat(reader) {
                    let taken = (0..count).take_while(|_| self.take(at)).count();
                    assert!(
                        taken == count || self.seats[at].cursor >= self.shown,
                        "the reader stopped early"
                    );
                }
            }
            Op::TakeSlice(reader) => {
                if let Some(at) = self.seat(reader)
                    && self.look(at)
                {
                    self.take_slice(at);
                }
            }
            Op::Look(reader) => {
                if let Some(at) = self.seat(reader) {
                    self.look(at);
                }
            }
            Op::AddReader(position) => {
                let position = self.place(position);
                if self.seats.len() < 6 {
                    let reader = self.source.reader(position).expect("memory for a spare");
                    self.seats.push(Seat { reader, cursor: position, on_lag: OnLag::Oldest });
                }
            }
            Op::DropReader(reader) => {
                if let Some(at) = self.seat(reader) {
                    self.seats.swap_remove(at);
                }
            }
            Op::Seek(reader, position) => {
                let position = self.place(position);
                if let Some(at) = self.seat(reader) {
                    self.seats[at].reader.seek(position);
                    self.seats[at].cursor = position;
                }
            }
            Op::SetOnLag(reader, oldest) => {
                if let Some(at) = self.seat(reader) {
                    let on_lag = if oldest { OnLag::Oldest } else { OnLag::Newest };
                    self.seats[at].reader.set_on_lag(on_lag);
                    self.seats[at].on_lag = on_lag;
                }
            }
            Op::Share => {
                self.pen = match std::mem::replace(&mut self.pen, Pen::Closed) {
                    Pen::One(writer) => {
                        // All written values are shown.
                        self.shown = self.written;
                        Pen::Shared(SharedWriter::from(writer))
                    }
                    other => other,
                };
            }
            Op::Close => match std::mem::replace(&mut self.pen, Pen::Closed) {
                Pen::One(writer) => {
                    writer.close();
                    self.shown = self.written;
                }
                Pen::Shared(writer) => {
                    assert!(writer.close(), "the first close");
                    assert!(!writer.close() && writer.claim().is_none(), "a closed ring is closed");
                }
                Pen::Closed => {}
            },
        }
    }

    fn check(&self) {
        assert_eq!(self.source.tail(), self.shown);
        assert_eq!(self.source.oldest(), self.shown.saturating_sub(self.capacity));
        assert_eq!(self.source.is_closed(), matches!(self.pen, Pen::Closed));
        assert_eq!(self.source.readers(), self.seats.len());
        for seat in &self.seats {
            assert_eq!(seat.reader.position(), seat.cursor);
            assert_eq!(seat.reader.behind(), self.shown.saturating_sub(seat.cursor));
        }
        assert_eq!(self.census.alive() as u64, self.written - self.gone.len() as u64, "values alive");
    }

    /// Returns the first value that was not overwritten. The table has one block more than the
    /// capacity needs; the block under construction counts as one of them.
    fn kept(&self) -> u64 {
        let blocks = self.capacity.div_ceil(self.block_len) + 1;
        self.written.div_ceil(self.block_len).saturating_sub(blocks) * self.block_len
    }

    fn seat(&self, number: usize) -> Option<usize> {
        (!self.seats.is_empty()).then(|| number % self.seats.len())
    }

    /// Returns a position between the start and slightly after the end.
    fn place(&self, byte: u8) -> u64 {
        u64::from(byte) * (self.written + 3) / 256
    }

    fn write(&mut self, count: usize) {
        match &mut self.pen {
            Pen::One(_) => {
                (0..count).for_each(|_| self.put());
                self.step(Op::Commit);
            }
            Pen::Shared(writer) => {
                let mut claim = writer.claim().expect("the ring is open");
                for _ in 0..count {
                    assert_eq!(claim.position(), self.written);
                    let old = claim.put(self.census.make(self.written));
                    self.written += 1;
                    for old in old.into_iter().chain(claim.take_stale()) {
                        assert!(self.gone.insert(old.id), "{} came back twice", old.id);
                    }
                }
                drop(claim);
                self.shown = self.written;
            }
            Pen::Closed => {}
        }
    }

    fn put(&mut self) {
        let Pen::One(writer) = &mut self.pen else { return };
        assert_eq!(writer.position(), self.written);
        let old = writer.put(self.census.make(self.written));
        if self.written.is_multiple_of(self.block_len) {
            // The first value of a block shows the values before it.
            self.shown = self.written;
        }
        self.written += 1;
        if let Some(old) = old {
            assert!(self.gone.insert(old.id), "{} came back twice", old.id);
        }
    }

    fn take_stale(&mut self) {
        if let Pen::One(writer) = &mut self.pen {
            let has_stale = writer.has_stale();
            let stale = writer.take_stale();
            assert_eq!(stale.is_some(), has_stale);
            if let Some(stale) = stale {
                assert!(self.gone.insert(stale.id), "{} came back twice", stale.id);
            }
        }
    }

    /// Returns whether there is a value. Follows a reader that missed some.
    fn look(&mut self, at: usize) -> bool {
        loop {
            let (shown, oldest, kept) = (self.shown, self.source.oldest(), self.kept());
            let closed = matches!(self.pen, Pen::Closed);
            let seat = &mut self.seats[at];
            match seat.reader.look() {
                Look::Values => {
                    assert!(seat.cursor < shown, "a value that was not shown");
                    assert!(seat.cursor >= kept, "a value that was overwritten");
                    let id = seat.reader.peek(|position, value| {
                        assert_eq!(position, value.id);
                        value.id
                    });
                    assert_eq!(id, Some(seat.cursor));
                    assert!(!self.gone.contains(&seat.cursor), "a value that came back");
                    return true;
                }
                Look::Lagged(missed) => {
                    assert!(seat.cursor < kept && missed > 0, "a retained value must not be missed");
                    seat.cursor += missed;
                    let goes_on = if seat.on_lag == OnLag::Oldest { oldest } else { shown };
                    assert_eq!(seat.cursor, goes_on, "the position where a reader continues");
                }
                Look::Empty => {
                    assert!(seat.cursor >= shown && !closed, "empty");
                    return false;
                }
                Look::Closed => {
                    assert!(seat.cursor >= shown && closed, "closed");
                    return false;
                }
            }
        }
    }

    fn take(&mut self, at: usize) -> bool {
        if !self.look(at) {
            return false;
        }
        let seat = &mut self.seats[at];
        let id = seat.reader.take(|position, value| {
            assert_eq!(position, value.id);
            value.id
        });
        assert_eq!(id, seat.cursor);
        seat.cursor += 1;
        true
    }

    fn take_slice(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let known = seat.reader.known() as u64;
        let block_end = (seat.cursor / self.block_len + 1) * self.block_len;
        assert!(known > 0 && seat.cursor + known <= self.shown.min(block_end), "known");
        let expected: Vec<u64> = (seat.cursor..seat.cursor + known).collect();
        let ids = |values: &[Value]| values.iter().map(|value| value.id).collect::<Vec<_>>();
        assert_eq!(ids(seat.reader.values()), expected);
        assert_eq!(ids(seat.reader.take_values(known as usize)), expected);
        seat.cursor += known;
    }
}
