//! What the screen shows, drawn into a buffer.

use super::{Status, draw};
use crate::column::Column;
use crate::keys::Action;
use crate::model::Model;
use crate::palette::Palette;
use crate::source::Update;
use crate::state::State;
use crate::table::Table;
use buslane::stats::{RetryState, SinkStatus};
use buslane_inspect::{BusFrame, Frame, SinkFrame, SubscriberFrame, Warning};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use std::time::{Duration, Instant};

const STATUS: Status = Status { every: Duration::from_secs(1), is_replay: false, is_paused: false };

/// A service with a queue that drops, a journal with subscribers and a closed channel.
fn frame(at_ms: u64, offered: u64) -> Frame {
    let mut queue = SinkFrame {
        id: 1,
        name: "audit".into(),
        kind: "queue".into(),
        depth: 812,
        high_water: 1000,
        capacity: 1024,
        lanes: 1,
        last_error: Some("no space left on device".into()),
        backlog_ms: Some(2300),
        in_handler_ms: Some(12),
        batches: 40,
        largest_batch: 256,
        batch_ms_total: 500,
        ..SinkFrame::default()
    };
    (queue.ledger.offered, queue.ledger.accepted, queue.ledger.delivered) =
        (offered, offered, offered - 1_012);
    (queue.ledger.dropped.full, queue.ledger.dropped.failed, queue.ledger.pending) = (190, 10, 812);
    queue.retries.push(RetryState::default());
    let mut journal = SinkFrame {
        id: 2,
        name: "feed".into(),
        kind: "journal".into(),
        capacity: 64,
        ..SinkFrame::default()
    };
    let subscriber = |(name, behind): (&str, u64)| SubscriberFrame {
        name: Some(name.into()),
        behind,
        next: 5_000,
        gating: behind > 0,
        ..SubscriberFrame::default()
    };
    journal.subscribers = [("metrics", 0), ("replica", 17)].map(subscriber).into();
    let closed = SinkFrame {
        id: 1,
        name: "log".into(),
        kind: "channel".into(),
        status: SinkStatus::Closed,
        ..SinkFrame::default()
    };
    let orders =
        BusFrame { name: "orders".into(), publishers: 3, sinks: vec![queue, journal], ..BusFrame::default() };
    let private =
        BusFrame { name: "private".into(), publishers: 1, sinks: vec![closed], ..BusFrame::default() };
    Frame {
        version: 1,
        program: "shop".into(),
        pid: 4242,
        at_ms,
        buses: vec![orders, private],
        ..Frame::default()
    }
}

fn model(frames: impl IntoIterator<Item = Frame>) -> Model {
    let mut model = Model::default();
    frames.into_iter().for_each(|frame| model.apply(Update::Frame(Box::new(frame)), Instant::now()));
    model
}

/// The service after two frames, one second apart.
fn busy() -> Model {
    model([frame(199_000, 10_000), frame(200_000, 12_500)])
}

/// Draws, and returns the lines.
fn lines(state: &mut State, model: &Model, status: Status, width: u16, height: u16) -> Vec<String> {
    buffer(state, model, status, width, height, Palette::new(true)).0
}

/// Draws, and returns the lines and whether a cell has a color.
fn buffer(
    state: &mut State,
    model: &Model,
    status: Status,
    width: u16,
    height: u16,
    palette: Palette,
) -> (Vec<String>, bool) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, model, status, palette)).unwrap();
    let cells = terminal.backend().buffer().content();
    let lines =
        cells.chunks(width.into()).map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>());
    let has_color = cells.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
    (lines.map(|line| line.trim_end().to_owned()).collect(), has_color)
}

fn apply(state: &mut State, actions: &[Action], model: &Model) {
    for action in actions {
        state.apply(*action, model);
    }
}

fn show(model: &Model, width: u16, height: u16) -> Vec<String> {
    lines(&mut State::new(Table::default()), model, STATUS, width, height)
}

/// Returns the words of the line that has a text.
#[track_caller]
fn words(lines: &[String], text: &str) -> Vec<String> {
    let line = lines.iter().find(|line| line.contains(text));
    let line = line.unwrap_or_else(|| panic!("no line has {text:?}: {lines:#?}"));
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn eighty_by_twenty_four_shows_the_figures() {
    let lines = show(&busy(), 80, 24);
    assert_eq!(words(&lines, "pid 4242"), ["shop", "pid", "4242", "up", "3m20s", "every", "1", "s"]);
    assert_eq!(lines[1], "in 2500/s  out 2500/s  dropped 0/s  refused 0/s  2 buses  3 sinks  4 publishers");
    assert_eq!(words(&lines, "drop/s")[..5], ["bus", "sink", "status", "in/s", "out/s"]);
    let audit = words(&lines, "audit");
    assert_eq!(audit[..5], ["orders", "audit", "open", "2500", "2500"]);
    assert_eq!(audit[audit.len() - 3..], ["812/1024", "0", "200"]);
    assert_eq!(words(&lines, "private")[..3], ["private", "log", "closed"]);
    assert!(lines[23].ends_with("q quit"), "{lines:#?}");
}

#[test]
fn wide_terminals_show_all_columns_and_reasons() {
    let lines = show(&busy(), 220, 24);
    let titles = ["kind", "high", "refused", "backlog", "handler", "last error"];
    let head = lines.iter().find(|line| line.contains("drop/s")).unwrap();
    assert!(titles.iter().all(|title| head.contains(title)), "{head}");
    let audit = lines.iter().find(|line| line.contains("audit")).unwrap();
    for text in ["200 (full 190, failed 10)", "2.3s", "12ms", "no space left on device", "812/1024"] {
        assert!(audit.contains(text), "{audit}");
    }
}

#[test]
fn every_size_and_mode_is_drawn() {
    let mut many = frame(200_000, 12_500);
    many.buses[0].sinks =
        (0..100).map(|id| SinkFrame { id, name: format!("sink {id}"), ..SinkFrame::default() }).collect();
    many.warnings =
        vec![Warning { bus: "orders".into(), text: "it stalls ".repeat(40), ..Warning::default() }; 30];
    let modes: [&[Action]; 6] = [
        &[],
        &[Action::Enter],
        &[Action::Help],
        &[Action::Warnings],
        &[Action::Last, Action::Enter, Action::Scroll(3)],
        &[Action::Filter, Action::Type('x')],
    ];
    for model in [Model::default(), busy(), model([many])] {
        for actions in modes {
            let mut state = State::new(Table::default());
            apply(&mut state, actions, &model);
            for (width, height) in
                [(1, 1), (2, 7), (10, 3), (20, 10), (80, 24), (81, 31), (120, 33), (400, 100)]
            {
                lines(&mut state, &model, STATUS, width, height);
            }
        }
    }
}

#[test]
fn colors_say_nothing_that_the_text_does_not() {
    let mut alarming = frame(200_000, 12_500);
    alarming.warnings.push(Warning { bus: "orders".into(), text: "drops rise".into(), ..Warning::default() });
    let model = model([frame(199_000, 10_000), alarming]);
    for actions in [&[][..], &[Action::Enter], &[Action::Warnings]] {
        let mut state = State::new(Table::default());
        apply(&mut state, actions, &model);
        let (colored, has_color) = buffer(&mut state, &model, STATUS, 120, 40, Palette::new(true));
        let (plain, has_none) = buffer(&mut state, &model, STATUS, 120, 40, Palette::new(false));
        assert_eq!((colored, has_color, has_none), (plain, true, false));
    }
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let mut hostile = frame(200_000, 12_500);
    let name = "\u{1b}]0;title\u{7}\u{1b}[2J\n\u{202e}gnp";
    hostile.program = name.into();
    hostile.buses[0].name = name.into();
    hostile.buses[0].sinks[0].name = name.into();
    hostile.buses[0].sinks[0].last_error = Some(name.into());
    hostile.warnings.push(Warning {
        bus: name.into(),
        sink: Some(name.into()),
        text: name.into(),
        ..Warning::default()
    });
    let mut model = model([hostile]);
    model.apply(Update::Lost(name.into()), Instant::now());
    for actions in [&[][..], &[Action::Enter], &[Action::Warnings]] {
        let mut state = State::new(Table::default());
        apply(&mut state, actions, &model);
        let text = lines(&mut state, &model, STATUS, 200, 40).concat();
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.contains("]0;title"), "{text:?}");
    }
    let text = super::plain::text(&model, &Table::default());
    assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
}

#[test]
fn warnings_keep_their_room_for_ten_frames() {
    let warned = |count: usize, at_ms: u64| {
        let warning = |n| Warning {
            bus: "orders".into(),
            sink: Some("audit".into()),
            text: format!("drop {n}"),
            ..Warning::default()
        };
        Frame { warnings: (0..count).map(warning).collect(), ..frame(at_ms, 12_500) }
    };
    let title = |lines: &[String]| lines.iter().position(|line| line.contains("drop/s"));
    let lines = show(&model([warned(2, 1000)]), 80, 24);
    assert_eq!((lines[2].as_str(), lines[3].as_str()), ("! orders/audit: drop 0", "! orders/audit: drop 1"));
    assert_eq!(title(&lines), Some(4));
    assert_eq!(title(&show(&model((0..10).map(|n| warned(if n == 0 { 2 } else { 0 }, n))), 80, 24)), Some(4));
    assert_eq!(title(&show(&model((0..11).map(|n| warned(if n == 0 { 2 } else { 0 }, n))), 80, 24)), Some(2));

    let many = model([warned(9, 1000)]);
    let lines = show(&many, 80, 24);
    assert_eq!(lines[4], "! and 7 more, w shows them");
    let mut state = State::new(Table::default());
    state.apply(Action::Warnings, &many);
    let all = super::tests::lines(&mut state, &many, STATUS, 80, 24);
    assert!((0..9).all(|n| all.iter().any(|line| line.ends_with(&format!("drop {n}")))), "{all:#?}");
    // A low terminal keeps its table.
    assert_eq!(show(&many, 80, 12)[2], "! 9 warnings, w shows them");
}

#[test]
fn details_show_ledger_charts_and_retries() {
    let (mut state, model) = (State::new(Table::default()), busy());
    state.apply(Action::Enter, &model);
    for (height, has_table) in [(24, false), (50, true)] {
        let lines = lines(&mut state, &model, STATUS, 100, height);
        let text = lines.join("\n");
        for expected in [
            "orders / audit  #1  queue, open",
            "12,500 = accepted 12,500 + refused 0",
            "12,500 = delivered 11,488 + filtered 0 + dropped 200 (full 190, failed 10) +",
            "pending 812",
            "812 of 1,024 in 1 private lane, high water 1,000",
            "backlog 2.3s, oldest event -, in the handler 12ms",
            "40, the largest of 256 events, 12.5 ms each on average, 500ms in all",
            "no space left on device",
            "retried 0, given up 0, letters sent 0, letters lost 0",
            "max 2500",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert_eq!(lines.iter().any(|line| line.starts_with("bus ")), has_table, "{text}");
    }
}

#[test]
fn details_follow_the_chosen_sink() {
    let (mut state, model) = (State::new(Table::default()), busy());
    state.apply(Action::Enter, &model);
    state.apply(Action::Move(1), &model);
    let lines = lines(&mut state, &model, STATUS, 100, 24);
    assert!(lines.iter().any(|line| line.starts_with("orders / feed  #2  journal, open")), "{lines:#?}");
    assert_eq!(words(&lines, "replica"), ["replica", "17", "5,000", "0", "0", "gating"]);
    assert_eq!(words(&lines, "metrics"), ["metrics", "0", "5,000", "0", "0"]);
}

#[test]
fn head_says_whether_frames_arrive() {
    let mut model = Model::default();
    assert!(show(&model, 80, 24)[0].ends_with("connecting"));
    model.apply(Update::Frame(Box::new(frame(1000, 10_000))), Instant::now());
    model.apply(Update::Lost("no service answers at 127.0.0.1:9".into()), Instant::now());
    let lost = show(&model, 80, 24);
    assert!(lost[0].ends_with("lost for 0 s: no service answers at 127.0.0.1:9"), "{lost:#?}");
    // The last figures stay.
    assert_eq!(words(&lost, "audit")[..2], ["orders", "audit"]);
    let again = Frame { started_ms: 5000, ..frame(6000, 10_000) };
    model.apply(Update::Frame(Box::new(again)), Instant::now());
    assert!(show(&model, 80, 24)[0].ends_with("every 1 s, restarted once"));
    let paused = Status { is_paused: true, ..STATUS };
    let lines = lines(&mut State::new(Table::default()), &model, paused, 80, 24);
    assert!(lines[0].ends_with("PAUSED, every 1 s, restarted once"), "{lines:#?}");
    model.apply(Update::Ended("the recording has ended".into()), Instant::now());
    assert!(show(&model, 80, 24)[0].contains("the recording has ended"));
    model.apply(Update::Note("the recording has ended: disk full".into()), Instant::now());
    assert!(show(&model, 120, 24)[0].contains("disk full"));
}

#[test]
fn title_of_the_order_has_a_sign() {
    let table = Table { sort: Some(Column::In), is_reversed: true, ..Table::default() };
    let lines = lines(&mut State::new(table), &busy(), STATUS, 80, 24);
    assert!(lines[2].contains("in/s▴"), "{lines:#?}");
    assert!(lines[23].starts_with("by in/s, reversed  "), "{lines:#?}");
}

#[test]
fn filter_is_shown_while_it_is_typed_and_after() {
    let (mut state, model) = (State::new(Table::default()), busy());
    apply(&mut state, &[Action::Filter, Action::Type('f'), Action::Type('e')], &model);
    assert!(lines(&mut state, &model, STATUS, 80, 24)[23].starts_with("filter: fe_"));
    state.apply(Action::Enter, &model);
    let kept = lines(&mut state, &model, STATUS, 80, 24);
    assert!(kept[23].starts_with("filter \"fe\": 1 sink  "), "{kept:#?}");
    assert!(kept.iter().all(|line| !line.contains("audit")), "{kept:#?}");
    state.table.filter = "nothing".into();
    assert!(
        lines(&mut state, &model, STATUS, 80, 24).contains(&"no sink has the text of the filter".to_owned())
    );
}

#[test]
fn plain_table_has_all_columns() {
    let text = super::plain::text(&busy(), &Table { sort: Some(Column::Sink), ..Table::default() });
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "shop  pid 4242  up 3m20s  in 2500/s  out 2500/s");
    assert!(lines[1].starts_with("bus      sink   kind     status  in/s  out/s  depth"), "{text}");
    assert!(lines[2].starts_with("orders   audit  queue    open    2500   2500  812/1024"), "{text}");
    assert!(lines[2].ends_with("no space left on device"), "{text}");
    assert_eq!(lines.len(), 5);
}
