//! The names of `tracing_appender::non_blocking`, for programs that were written for it.
//!
//! A program changes the name of the crate in its paths, and nothing else. The function
//! [`non_blocking`](fn@crate::non_blocking) is next to this module, as in tracing-appender.
//! [`NonBlocking::new`] lists what differs. `DEFAULT_BUFFERED_LINES_LIMIT` has no counterpart: it
//! counts 128 000 lines for all threads together, and the limit here is that of each lane.
//!
//! # Examples
//! ```
//! use buslane_tracing::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
//! let (writer, _guard): (NonBlocking, WorkerGuard) =
//!     NonBlockingBuilder::default().lossy(false).finish(std::io::stdout());
//! tracing_subscriber::fmt().with_writer(writer).init();
//! ```

#[doc(no_inline)]
pub use crate::guard::WorkerGuard;
#[doc(no_inline)]
pub use crate::line_writer::{ErrorCounter, NonBlocking, NonBlockingBuilder};
