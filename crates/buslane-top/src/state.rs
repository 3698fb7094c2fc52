//! What the user has chosen on the screen, and how actions change it.

use crate::keys::Action;
use crate::model::{Key, Model};
use crate::table::Table;

/// The most characters of a filter.
const FILTER: usize = 60;

/// What covers the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// All warnings.
    Warnings,
    /// The list of keys.
    Help,
}

/// What the loop of the screen has to do after an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Draw,
    DrawAll,
    Pause,
    Quit,
}

/// What the user has chosen on the screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) overlay: Overlay,
    /// Whether the details of the chosen sink are open.
    pub(crate) has_details: bool,
    /// The filter before it is typed, while it is typed.
    typing: Option<String>,
    chosen: Option<Key>,
    /// The place of the chosen sink when it was last seen.
    place: usize,
    /// The first row that the table shows.
    first: usize,
    /// The number of rows that the table shows.
    page: usize,
    /// The first line of what is open.
    scroll: usize,
}

impl State {
    pub(crate) fn new(table: Table) -> Self {
        Self { table, page: 1, ..Self::default() }
    }

    /// Returns whether letters belong to a filter.
    pub(crate) fn is_typing(&self) -> bool {
        self.typing.is_some()
    }

    /// Does what the user asks for.
    pub(crate) fn apply(&mut self, action: Action, model: &Model) -> Next {
        match action {
            Action::Quit => return Next::Quit,
            Action::Redraw => return Next::DrawAll,
            Action::Pause => return Next::Pause,
            Action::Move(rows) => self.move_by(rows, model),
            Action::Page(pages) => self.move_by(pages.saturating_mul(self.page.max(1) as isize), model),
            Action::First => self.move_by(isize::MIN, model),
            Action::Last => self.move_by(isize::MAX, model),
            Action::Sort => self.table.sort_by_next(),
            Action::SortBack => self.table.sort_by_previous(),
            Action::Reverse => self.table.is_reversed = !self.table.is_reversed,
            Action::Filter => self.typing = Some(self.table.filter.clone()),
            Action::Enter if self.is_typing() => self.typing = None,
            Action::Enter if self.overlay != Overlay::None => self.toggle(self.overlay),
            Action::Enter => {
                self.has_details = !self.has_details;
                self.scroll = 0;
            }
            Action::Back => self.back(),
            Action::Scroll(lines) => self.scroll = self.scroll.saturating_add_signed(lines),
            Action::Warnings => self.toggle(Overlay::Warnings),
            Action::Help => self.toggle(Overlay::Help),
            Action::Type(c) if !c.is_control() && self.table.filter.chars().count() < FILTER => {
                self.table.filter.push(c);
            }
            Action::Type(_) => {}
            Action::Erase => {
                self.table.filter.pop();
            }
            Action::EraseAll => self.table.filter.clear(),
        }
        Next::Draw
    }

    fn toggle(&mut self, overlay: Overlay) {
        self.overlay = if self.overlay == overlay { Overlay::None } else { overlay };
        self.scroll = 0;
    }

    /// Closes what was opened last.
    fn back(&mut self) {
        if let Some(before) = self.typing.take() {
            self.table.filter = before;
        } else if self.overlay != Overlay::None {
            self.overlay = Overlay::None;
        } else if self.has_details {
            self.has_details = false;
        } else {
            self.table.filter.clear();
        }
        self.scroll = 0;
    }

    /// Moves the choice. With an overlay open, the overlay scrolls.
    fn move_by(&mut self, rows: isize, model: &Model) {
        if self.overlay != Overlay::None {
            self.scroll = self.scroll.saturating_add_signed(rows);
            return;
        }
        let keys: Vec<_> = self.table.rows(model).iter().map(|row| row.key()).collect();
        let Some(last) = keys.len().checked_sub(1) else { return };
        let place = self.place_in(&keys).saturating_add_signed(rows).min(last);
        (self.place, self.chosen) = (place, keys.into_iter().nth(place));
        self.scroll = 0;
    }

    /// Returns the place of the chosen sink. If it is gone, the sink at its place is chosen.
    fn place_in(&self, keys: &[Key]) -> usize {
        let place = self.chosen.as_ref().and_then(|chosen| keys.iter().position(|key| key == chosen));
        place.unwrap_or_else(|| self.place.min(keys.len().saturating_sub(1)))
    }

    /// Settles which row is chosen, and returns its place.
    pub(crate) fn settle(&mut self, keys: &[Key]) -> usize {
        self.place = self.place_in(keys);
        if !keys.is_empty() {
            self.chosen = keys.get(self.place).cloned();
        }
        self.place
    }

    /// Settles which row is the first of a table with this many rows of room. Returns the place of the
    /// chosen row, and the first.
    pub(crate) fn settle_table(&mut self, keys: &[Key], room: usize) -> (usize, usize) {
        self.page = room.max(1);
        let place = self.settle(keys);
        let last_first = keys.len().saturating_sub(self.page);
        let least = (place + 1).saturating_sub(self.page);
        self.first = self.first.clamp(least, place).min(last_first);
        (place, self.first)
    }

    /// Settles the first line of what is open, which has some lines and some room.
    pub(crate) fn settle_scroll(&mut self, lines: usize, room: usize) -> usize {
        self.scroll = self.scroll.min(lines.saturating_sub(room));
        self.scroll
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, Overlay, State};
    use crate::column::Column;
    use crate::keys::Action;
    use crate::model::{Key, Model};
    use crate::source::Update;
    use crate::table::Table;
    use buslane_inspect::{BusFrame, Frame, SinkFrame};
    use std::time::Instant;

    /// A service with sinks that have these ids.
    fn model(ids: &[u64]) -> Model {
        let sink =
            |id: &u64| SinkFrame { id: *id, name: format!("sink {id}"), depth: *id, ..SinkFrame::default() };
        let bus =
            BusFrame { name: "orders".into(), sinks: ids.iter().map(sink).collect(), ..BusFrame::default() };
        let mut model = Model::default();
        let frame = Frame { buses: vec![bus], ..Frame::default() };
        model.apply(Update::Frame(Box::new(frame)), Instant::now());
        model
    }

    fn keys(state: &State, model: &Model) -> Vec<Key> {
        state.table.rows(model).iter().map(|row| row.key()).collect()
    }

    /// Settles, and returns the id of the chosen sink and the first row.
    fn settle(state: &mut State, model: &Model, room: usize) -> (u64, usize) {
        let keys = keys(state, model);
        let (place, first) = state.settle_table(&keys, room);
        (keys[place].sink, first)
    }

    #[test]
    fn choice_follows_its_sink_when_the_order_changes() {
        let (mut state, model) = (State::new(Table::default()), model(&[1, 2, 3]));
        state.apply(Action::Move(1), &model);
        assert_eq!(settle(&mut state, &model, 5), (2, 0));
        state.table.sort = Some(Column::Depth);
        assert_eq!(settle(&mut state, &model, 5), (2, 0));
        state.apply(Action::Move(1), &model);
        assert_eq!(settle(&mut state, &model, 5), (1, 0));
    }

    #[test]
    fn choice_keeps_its_place_when_its_sink_is_gone() {
        let mut state = State::new(Table::default());
        state.apply(Action::Last, &model(&[1, 2, 3]));
        assert_eq!(settle(&mut state, &model(&[1, 2, 3]), 5), (3, 0));
        assert_eq!(settle(&mut state, &model(&[1, 2]), 5), (2, 0));
        assert_eq!(settle(&mut state, &model(&[7, 8, 9]), 5), (8, 0));
        assert_eq!(state.settle_table(&[], 5), (0, 0));
        assert_eq!(state.apply(Action::Move(1), &model(&[])), Next::Draw);
    }

    #[test]
    fn table_scrolls_no_further_than_the_choice_needs() {
        let (mut state, model) = (State::new(Table::default()), model(&(0..100).collect::<Vec<_>>()));
        assert_eq!(settle(&mut state, &model, 10), (0, 0));
        state.apply(Action::Move(12), &model);
        assert_eq!(settle(&mut state, &model, 10), (12, 3));
        state.apply(Action::Move(-5), &model);
        assert_eq!(settle(&mut state, &model, 10), (7, 3));
        state.apply(Action::Page(1), &model);
        assert_eq!(settle(&mut state, &model, 10), (17, 8));
        state.apply(Action::Last, &model);
        assert_eq!(settle(&mut state, &model, 10), (99, 90));
        // A higher terminal leaves no empty rows.
        assert_eq!(settle(&mut state, &model, 40), (99, 60));
        state.apply(Action::First, &model);
        assert_eq!(settle(&mut state, &model, 40), (0, 0));
        assert_eq!(settle(&mut state, &model, 0), (0, 0));
    }

    #[test]
    fn escape_closes_one_thing_at_a_time() {
        let (mut state, model) = (State::new(Table::default()), model(&[1]));
        for action in [Action::Filter, Action::Type('a'), Action::Enter, Action::Enter, Action::Help] {
            state.apply(action, &model);
        }
        let seen = |state: &State| (state.overlay, state.has_details, state.table.filter.clone());
        assert_eq!(seen(&state), (Overlay::Help, true, "a".into()));
        state.apply(Action::Back, &model);
        assert_eq!(seen(&state), (Overlay::None, true, "a".into()));
        state.apply(Action::Back, &model);
        assert_eq!(seen(&state), (Overlay::None, false, "a".into()));
        state.apply(Action::Back, &model);
        assert_eq!(seen(&state), (Overlay::None, false, String::new()));
    }

    #[test]
    fn escape_drops_what_was_typed() {
        let (mut state, model) = (State::new(Table::default()), model(&[1]));
        state.table.filter = "or".into();
        for action in
            [Action::Filter, Action::Type('x'), Action::Erase, Action::Erase, Action::Type('\u{1b}')]
        {
            state.apply(action, &model);
        }
        assert_eq!((state.table.filter.as_str(), state.is_typing()), ("o", true));
        state.apply(Action::Back, &model);
        assert_eq!((state.table.filter.as_str(), state.is_typing()), ("or", false));
        state.apply(Action::Filter, &model);
        for _ in 0..1000 {
            state.apply(Action::Type('x'), &model);
        }
        assert_eq!(state.table.filter.len(), super::FILTER);
    }

    #[test]
    fn overlays_scroll_within_their_lines() {
        let (mut state, model) = (State::new(Table::default()), model(&[1]));
        state.apply(Action::Help, &model);
        state.apply(Action::Last, &model);
        assert_eq!(state.settle_scroll(20, 8), 12);
        state.apply(Action::Move(-1), &model);
        assert_eq!(state.settle_scroll(20, 8), 11);
        state.apply(Action::First, &model);
        assert_eq!((state.settle_scroll(20, 8), state.settle_scroll(3, 8)), (0, 0));
    }
}
