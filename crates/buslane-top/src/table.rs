//! Which sinks the table shows, in which order, and which columns fit a width.

use crate::column::{ALL, Column};
use crate::model::{Model, Row};

/// What the table shows of the sinks of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// The only bus to show.
    pub(crate) bus: Option<String>,
    /// The column to sort by; `None` keeps the order of the service.
    pub(crate) sort: Option<Column>,
    /// Whether the order is reversed.
    pub(crate) is_reversed: bool,
    /// A text that the bus, the name, the kind or the status has.
    pub(crate) filter: String,
}

impl Table {
    /// Returns the sinks to show, in their order.
    pub(crate) fn rows<'a>(&self, model: &'a Model) -> Vec<Row<'a>> {
        let mut rows = model.rows();
        rows.retain(|row| self.shows(row));
        if let Some(column) = self.sort {
            // Stable: equal rows keep the order of the service.
            rows.sort_by(|one, other| {
                let order = column.compare(one, other);
                if self.is_reversed { order.reverse() } else { order }
            });
        } else if self.is_reversed {
            rows.reverse();
        }
        rows
    }

    fn shows(&self, row: &Row<'_>) -> bool {
        if self.bus.as_ref().is_some_and(|bus| *bus != row.bus.name) {
            return false;
        }
        let filter = self.filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&filter);
        has(&row.bus.name) || has(&row.sink.name) || has(&row.sink.kind) || has(&row.sink.status.to_string())
    }

    /// Sorts by the next column; after the last one, in the order of the service.
    pub(crate) fn sort_by_next(&mut self) {
        self.sort = match self.sort {
            None => ALL.first().copied(),
            Some(column) => ALL.iter().skip_while(|other| **other != column).nth(1).copied(),
        };
        self.is_reversed = false;
    }

    /// Sorts by the column before; before the first one, in the order of the service.
    pub(crate) fn sort_by_previous(&mut self) {
        self.sort = match self.sort {
            None => ALL.last().copied(),
            Some(column) => ALL.iter().take_while(|other| **other != column).last().copied(),
        };
        self.is_reversed = false;
    }
}

/// Chooses the columns for a width, and their widths. `longest` returns the longest text of a column.
pub(crate) fn columns(cells: usize, longest: impl Fn(Column) -> usize) -> Vec<(Column, usize)> {
    let needed = |chosen: &[Column]| chosen.iter().map(|column| column.widths()[0] + 1).sum::<usize>();
    let mut chosen = ALL.to_vec();
    while chosen.len() > 1 && needed(&chosen) > cells + 1 {
        let last = chosen.iter().copied().max_by_key(|column| column.rank());
        chosen.retain(|column| Some(*column) != last);
    }
    let mut spare = (cells + 1).saturating_sub(needed(&chosen));
    let mut columns: Vec<_> = chosen.into_iter().map(|column| (column, column.widths()[0])).collect();
    // What is left goes to texts that are shortened, the most important column first.
    let mut places: Vec<usize> = (0..columns.len()).collect();
    places.sort_by_key(|place| columns[*place].0.rank());
    for place in places {
        let (column, width) = &mut columns[place];
        let wanted = longest(*column).min(column.widths()[1]).saturating_sub(*width).min(spare);
        *width += wanted;
        spare -= wanted;
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::{Table, columns};
    use crate::column::{ALL, Column};
    use crate::model::Model;
    use crate::source::Update;
    use buslane::stats::SinkStatus;
    use buslane_inspect::{BusFrame, Frame, SinkFrame};
    use std::time::Instant;

    /// A service with sinks by name, depth and bus.
    fn model() -> Model {
        let sink = |(name, depth): (&str, u64)| {
            let mut sink =
                SinkFrame { name: name.into(), depth, kind: "queue".into(), ..SinkFrame::default() };
            (sink.id, sink.ledger.dropped.full) = (depth, 100 - depth);
            if name == "log" {
                sink.status = SinkStatus::Closed;
            }
            sink
        };
        let bus = |(name, sinks): (&str, [(&str, u64); 2])| BusFrame {
            name: name.into(),
            sinks: sinks.map(sink).into(),
            ..BusFrame::default()
        };
        let buses = [("orders", [("audit", 3), ("log", 9)]), ("private", [("Feed", 5), ("tap:1", 0)])];
        let frame = Frame { buses: buses.map(bus).into(), ..Frame::default() };
        let mut model = Model::default();
        model.apply(Update::Frame(Box::new(frame)), Instant::now());
        model
    }

    fn names(table: &Table) -> Vec<String> {
        table.rows(&model()).iter().map(|row| row.sink.name.clone()).collect()
    }

    #[test]
    fn numbers_sort_from_the_greatest_and_texts_from_a() {
        let mut table = Table::default();
        assert_eq!(names(&table), ["audit", "log", "Feed", "tap:1"]);
        table.sort = Some(Column::Depth);
        assert_eq!(names(&table), ["log", "Feed", "audit", "tap:1"]);
        table.sort = Some(Column::Dropped);
        assert_eq!(names(&table), ["tap:1", "audit", "Feed", "log"]);
        table.is_reversed = true;
        assert_eq!(names(&table), ["log", "Feed", "audit", "tap:1"]);
        (table.sort, table.is_reversed) = (Some(Column::Sink), false);
        assert_eq!(names(&table), ["Feed", "audit", "log", "tap:1"]);
        // Equal rows keep the order of the service.
        table.sort = Some(Column::Kind);
        assert_eq!(names(&table), ["audit", "log", "Feed", "tap:1"]);
    }

    #[test]
    fn filters_find_bus_name_kind_and_status() {
        let filtered = |filter: &str| names(&Table { filter: filter.into(), ..Table::default() });
        assert_eq!(
            (filtered("feed"), filtered("ORD")),
            (vec!["Feed".into()], vec!["audit".into(), "log".into()])
        );
        assert_eq!(
            (filtered("closed"), filtered("queue").len(), filtered("x").len()),
            (vec!["log".into()], 4, 0)
        );
        assert_eq!(names(&Table { bus: Some("private".into()), ..Table::default() }), ["Feed", "tap:1"]);
        assert!(names(&Table { bus: Some("privat".into()), ..Table::default() }).is_empty());
    }

    #[test]
    fn sorting_visits_each_column_and_the_order_of_the_service() {
        let (mut table, mut visited) = (Table::default(), Vec::new());
        for _ in 0..=ALL.len() {
            visited.push(table.sort);
            table.sort_by_next();
        }
        assert_eq!((visited[0], table.sort, visited.len()), (None, None, ALL.len() + 1));
        for expected in visited.iter().skip(1).rev() {
            table.sort_by_previous();
            assert_eq!(table.sort, *expected);
        }
        table.sort_by_previous();
        assert_eq!(table.sort, None);
    }

    #[test]
    fn columns_fit_every_width() {
        for cells in 14..400 {
            let columns = columns(cells, |_| 50);
            let needed = columns.iter().map(|(_, width)| width + 1).sum::<usize>() - 1;
            assert!(needed <= cells, "{needed} of {cells}");
            assert!(columns.iter().any(|(column, _)| *column == Column::Sink));
        }
        assert_eq!(columns(400, |_| 0).len(), ALL.len());
    }

    #[test]
    fn eighty_cells_show_who_is_slow_and_who_drops() {
        let shown: Vec<_> = columns(80, |_| 0).into_iter().map(|(column, _)| column).collect();
        let least = [
            Column::Bus,
            Column::Sink,
            Column::In,
            Column::Out,
            Column::Depth,
            Column::Drops,
            Column::Dropped,
        ];
        assert!(least.iter().all(|column| shown.contains(column)), "{shown:?}");
    }
}
