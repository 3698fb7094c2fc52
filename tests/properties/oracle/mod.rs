//! The models, and how a case is played on them. The fuzz targets play the same cases.

pub(crate) mod blocks;
pub(crate) mod bus;
pub(crate) mod channel;
pub(crate) mod journal;
pub(crate) mod mpmc;
pub(crate) mod retry;
pub(crate) mod spsc;
pub(crate) mod value;
