//! Where frames come from: a running service, or a recording.

pub(crate) mod live;
mod record;
pub(crate) mod replay;

pub(crate) use record::Recorder;

use buslane_inspect::Frame;

/// What a source reports.
#[derive(Debug)]
pub(crate) enum Update {
    /// A frame.
    Frame(Box<Frame>),
    /// The service does not answer, for this reason. The source tries again.
    Lost(String),
    /// No further frame comes, for this reason.
    Ended(String),
    /// Something that the user should know, and that ends nothing.
    Note(String),
}
