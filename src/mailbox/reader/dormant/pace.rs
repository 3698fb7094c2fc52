//! When a reader makes idle lanes dormant.

/// The polls of idle lanes that cost about as much as a pass: tens of microseconds.
const FIRST: u32 = 4096;
/// The most polls of idle lanes before a pass: some milliseconds.
const MOST: u32 = 1 << 20;

/// Decides when the next pass is due.
#[derive(Debug)]
pub(in crate::mailbox::reader) struct Pace {
    /// The polls of idle lanes since the last pass.
    polls: u32,
    /// The number of polls at which a pass is due.
    due: u32,
    /// The number of lanes that the last pass made dormant.
    made: u32,
    /// The number of lanes that became active since the last pass.
    resumed: u32,
}

impl Pace {
    pub(in crate::mailbox::reader) fn new() -> Self {
        Self { polls: 0, due: FIRST, made: 0, resumed: 0 }
    }

    /// Records polls of idle lanes.
    #[inline(always)]
    pub(in crate::mailbox::reader) fn polled_idle(&mut self, lanes: usize) {
        self.polls = self.polls.saturating_add(lanes as u32);
    }

    #[inline(always)]
    pub(super) fn is_due(&self) -> bool {
        self.polls >= self.due && self.due != u32::MAX
    }

    /// Records lanes that became active.
    pub(super) fn resumed(&mut self, lanes: usize) {
        self.resumed = self.resumed.saturating_add(lanes as u32);
    }

    /// Records a pass that made this number of lanes dormant.
    pub(super) fn passed(&mut self, made: usize) {
        self.polls = 0;
        if self.due != u32::MAX {
            // More than a quarter came back before the next pass was due: they speak too often.
            let soon = self.resumed > self.made / 4 && self.resumed > 1;
            self.due = if soon { 2 * self.due } else { self.due / 2 }.clamp(FIRST, MOST);
        }
        (self.made, self.resumed) = (made as u32, 0);
    }

    /// Makes no further pass.
    pub(super) fn never(&mut self) {
        self.due = u32::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST, MOST, Pace};

    fn is_due_after(pace: &mut Pace, polls: u32) -> bool {
        pace.polled_idle(polls as usize);
        pace.is_due()
    }

    #[test]
    fn pass_is_due_after_many_idle_polls() {
        let mut pace = Pace::new();
        assert!(!is_due_after(&mut pace, FIRST - 1));
        assert!(is_due_after(&mut pace, 1));
        pace.passed(100);
        assert!(!is_due_after(&mut pace, FIRST - 1));
    }

    #[test]
    fn lanes_that_return_soon_delay_the_next_pass() {
        let mut pace = Pace::new();
        pace.passed(100);
        pace.resumed(50);
        pace.passed(50);
        assert!(!is_due_after(&mut pace, 2 * FIRST - 1));
        assert!(is_due_after(&mut pace, 1));
        pace.resumed(10);
        pace.passed(10);
        assert!(is_due_after(&mut pace, FIRST), "few returned");
    }

    #[test]
    fn delay_of_a_pass_is_bounded() {
        let mut pace = Pace::new();
        for _ in 0..100 {
            pace.passed(10);
            pace.resumed(10);
        }
        assert!(is_due_after(&mut pace, MOST));
        pace.never();
        pace.passed(0);
        assert!(!is_due_after(&mut pace, MOST));
    }
}
