//! tracing and log through the buslane event bus: a non-blocking writer and a layer that never wait for a sink.
//!
//! # Logging in one line
//! [`init`] sets the subscriber of tracing for the whole process, and the logger of the `log` facade
//! with the feature `log`. A worker thread makes the lines:
//! ```
//! let _guard = buslane_tracing::init(std::io::stdout())?;
//! tracing::info!(port = 8080, "listening");
//! # Ok::<(), buslane_tracing::InitError>(())
//! ```
//!
//! # A layer that publishes on a bus
//! [`layer`] publishes a [`Record`] for each event and for each step in the life of a span. A record
//! has the typed fields inline, and the thread that logs allocates nothing. Sinks come and go while
//! the program runs:
//! ```
//! use buslane::{Bus, Queue};
//! use buslane_tracing::{Json, Kind, Record, RecordWriter};
//! use tracing_subscriber::prelude::*;
//!
//! let bus: Bus<Record> = Bus::new();
//! tracing_subscriber::registry().with(buslane_tracing::layer(&bus).build()).init();
//!
//! let _guard = RecordWriter::new(Json::new(), std::io::stdout()).start(&bus)?; // lines
//! let errors = Queue::builder().spawn(|record: Record| { // whatever else
//!     if record.kind() == Kind::Event && *record.level() == tracing::Level::ERROR {
//!         println!("page an operator: {}", record.message());
//!     }
//! })?;
//! bus.add(errors)?;
//! tracing::error!(code = 504, "no answer");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! - [`LayerBuilder::build`] returns the layer with its filter, [`Levels`], whose answers tracing
//!   caches. The levels can change while the program runs.
//! - [`RecordWriter`] writes records as [`Text`] or [`Json`], in the order of time, and joins each
//!   event with its spans. Nothing is stored in the spans themselves.
//! - Text that does not fit into the 204 bytes of a record is stored on the heap, up to 64 KiB for one
//!   record and 1 MiB for all ([`LayerBuilder::spill_limit`]). Above that it is cut, marked and
//!   counted.
//! - An event from a `Debug` implementation, from a sink that is called directly, or from a worker of
//!   this crate is suppressed and counted ([`LayerBuilder::unpublished`]).
//!   [`RecordWriter::report_unpublished`] reports the number in the log itself, as [`init`] does.
//! - A closure on a queue of the user's own that logs to the bus that it reads feeds itself, without
//!   end. Let it log with a target of its own, and filter that target: upstream of its queue
//!   (`queue.filter(|record: &Record| record.target() != "pager")`), or for all sinks by the layer's
//!   levels (`info,pager=off`).
//! - A scoped subscriber (`with_default`) holds for its thread only, so workers do not log to it.
//!
//! # Your enum is the log record
//! A program that knows its events needs no text on its hot path. [`map`] makes events of the user's
//! own type from those of tracing; the fastest way is to publish such an event directly, for a few
//! nanoseconds, and to give it its text on the worker:
//! ```
//! use buslane::{Bus, Queue};
//! use std::fmt;
//!
//! /// The log record of this service.
//! #[derive(Clone, Debug)]
//! enum Log {
//!     Started { port: u16 },
//!     Slow { route: &'static str, micros: u64 },
//! }
//!
//! impl fmt::Display for Log {
//!     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
//!         match self {
//!             Self::Started { port } => write!(f, "listening on port {port}"),
//!             Self::Slow { route, micros } => write!(f, "{route} took {micros} us"),
//!         }
//!     }
//! }
//!
//! let bus = Bus::new();
//! bus.add_named("log", Queue::builder().spawn(|event: Log| println!("{event}"))?)?;
//! let _closed_last = bus.close_on_drop();
//! let mut publisher = bus.publisher(); // one for each thread
//! publisher.publish(Log::Started { port: 8080 })?;
//! publisher.publish(Log::Slow { route: "/pull", micros: 1500 })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The log facade
//! With the feature `log`, [`init`] also takes what the macros of the `log` facade log; `logger`
//! makes a logger for a bus of records. Its `flush` waits until the lines are written, for one second
//! at most. Key-values of the facade are not recorded.
//!
//! # A non-blocking writer
//! [`non_blocking`](fn@non_blocking) takes the place of the function of the same name in
//! tracing-appender, and the module [`non_blocking`](mod@non_blocking) that of its types. The thread of
//! a line copies it into a ring; a worker thread writes it:
//! ```
//! let (writer, _guard) = buslane_tracing::non_blocking(std::io::stdout());
//! tracing_subscriber::fmt().with_writer(writer).init();
//! tracing::info!("written by the worker thread");
//! ```
//! - [`Guard`] flushes on demand, closes with a limit of one's own and an exact report, and flushes
//!   when a thread panics.
//! - A line that is lost is counted by its reason ([`Guard::ledger`]), and the log itself tells it as
//!   soon as there is room again: `buslane: 123 lines lost (full)`.
//! - A writer that fails is tried again, and opened again where
//!   [`build_reopening`](NonBlockingBuilder::build_reopening) has a hook for it; its lines wait. A
//!   writer that hangs or panics costs no thread but the worker its time.
//! - The lines of different threads are in the order of their time.
//!
//! Public complaints about non-blocking writers, and the tests that show what this one does about
//! them. Numbers are those of the tracker of tracing, where no other is named.
//!
//! | complaint | issue | test |
//! |---|---|---|
//! | errors of the writer vanish | 1155 | `error_loses_no_line_and_is_counted_by_kind`, `error_of_the_writer_is_told_once_on_stderr` |
//! | the writer never recovers after its directory is gone | 3467 | `vanished_directory_is_made_again` |
//! | no flush under constant load | 1931 | `constant_load_is_flushed` |
//! | no flush on demand | 3267, 708 | `flush_writes_what_was_accepted` |
//! | the guard loses lines, or does not drop the writer | 1120, 1713 | `close_writes_all_lines`, `close_flushes_and_drops_the_writer`, `close_reports_unwritten_lines_exactly` |
//! | `let _ = guard` leaves an empty file, in silence | 3008, 1493 | `dropped_guard_is_told_once_on_stderr`, `line_after_the_close_is_counted` |
//! | a panic at the end of a thread | 3239, thread_local-rs 74, env_logger 145 | `line_of_an_ending_thread_is_written` |
//! | the tail is lost while a clone is alive | opentelemetry-rust 1961, starbase 186 | `live_clones_do_not_delay_the_close` |
//! | losses are silent, or told once | opentelemetry-rust 2273 | `losses_in_the_log_equal_the_ledger`, `losses_are_told_after_each_burst` |
//! | a call that blocks hangs an async runtime | zenoh 1052, 1053 | `hanging_writer_stalls_no_thread`: no default waits; `lossy(false)` and `Overflow::Block` do |
//! | a queue that is bounded by count holds unbounded bytes | aionCore 946 | `long_lines_above_the_limit_are_refused`, `broken_writer_takes_bounded_memory` |
//! | a writer that panics, fails or hangs takes the log with it | none | `panic_in_a_piece_costs_one_line`, `panic_in_a_flush_loses_no_line`, `flush_ends_at_its_limit_while_the_writer_hangs` |
//!
//! Rotation of files (858, 1940, 2972) is left to the writer: any [`std::io::Write`] will do.
//!
//! # What this layer does about known complaints
//! Numbers are those of the tracker of tracing, where no other is named.
//!
//! | complaint | issue | test |
//! |---|---|---|
//! | nested events break the filters of layers | 2704, 2448, 3364 | `nested_events_do_not_break_the_filters` |
//! | a cached answer leaves stale bits, and the wrong layer gets an event | 2519, 3572 | `questions_without_events_do_not_break_the_filters` |
//! | a panic at the end of a thread | 3239, thread_local-rs 74, env_logger 145 | `event_from_a_destructor_is_written`, `scoped_event_from_a_destructor_does_no_harm` |
//! | `reload` is slow, or fails | 1632, 2325 | `level_can_change_at_run_time` |
//! | spans leak | 900, 2668 | `lost_closes_leave_a_bounded_table`, `long_span_holds_nothing_of_its_events` |
//! | one unfiltered layer slows down every disabled event | metered-rs 56 | `answers_for_all_callsites_stay_cached`, `disabled_callsites_stay_off_beside_an_env_filter` |
//! | a filter takes much of the processor | freenet-core 2315 | `targets_have_their_own_levels`: a table of static targets, without a lock |
//! | a span that lives long hoards memory | h2 763, materialize 17497 | `long_span_holds_nothing_of_its_events` |
//! | a `Debug` that logs locks the thread for good | 1565, tracing-opentelemetry 59, 250 | `debug_of_a_value_may_use_its_span`, `event_from_debug_is_suppressed_and_counted` |
//! | the exporter's own events feed it | opentelemetry-rust 1171, 2897, 3161 | `event_from_the_writer_is_suppressed`, `filter_of_a_target_ends_the_loop_of_a_queue` |
//! | the stack overflows through a bridge | opentelemetry-rust 3417 | `event_from_a_direct_sink_is_suppressed` |
//! | the tail is lost while a clone is alive | opentelemetry-rust 1961, starbase 186 | `exit_after_close_writes_every_line`, `return_writes_every_line`, `panic_writes_every_line` |
//! | `log` loses its tail at the end | simplelog 82, simple_logger 33, sloggers 29 | `flush_waits_until_the_line_is_written`, `init_takes_the_events_of_both_facades`, `ends_of_threads_and_of_the_process_are_written` |
//! | losses are silent | opentelemetry-rust 2273, opentelemetry-java 7103 | `event_from_debug_is_suppressed_and_counted`, `writers_report_what_a_layer_suppresses`, `writers_of_one_name_tell_their_own_losses` |
//! | a call that blocks hangs an async runtime | zenoh 1052, 1053 | `flush_ends_while_the_writer_hangs`: no default waits |
//! | a queue that is bounded by count holds unbounded bytes | aionCore 946 | `dropped_records_give_their_bytes_back`, and `texts_of_spans_take_bounded_memory` |

mod clock;
mod error;
mod fields;
mod format;
mod guard;
mod init;
mod json;
mod layer;
mod line;
mod line_writer;
mod lines;
#[cfg(feature = "log")]
mod log;
mod losses;
pub mod non_blocking;
mod order;
mod output;
mod record;
mod record_writer;
mod spans;
mod text;
mod thread;
mod unpublished;

#[cfg(feature = "log")]
pub use self::log::{Logger, logger};
pub use clock::{Clock, ManualTime, Timestamp};
pub use error::StartError;
pub use fields::{Field, Fields, Value};
pub use format::Format;
pub use guard::{Guard, WorkerGuard};
pub use init::{Init, InitError, init};
pub use json::Json;
pub use layer::{BusLayer, LayerBuilder, Levels, LevelsError, Mapped, Publish, Records, layer, map};
pub use line_writer::{ErrorCounter, LineOrder, NonBlocking, NonBlockingBuilder, non_blocking};
pub use record::{INLINE_BYTES, Kind, Record};
pub use record_writer::RecordWriter;
pub use text::Text;
pub use unpublished::Unpublished;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
