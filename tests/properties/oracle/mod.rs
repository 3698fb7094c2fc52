//! The models, and the runner of a case against them. The fuzz targets run the same cases.

pub(crate) mod blocks;
pub(crate) mod bus;
pub(crate) mod channel;
pub(crate) mod director;
pub(crate) mod journal;
pub(crate) mod mpmc;
pub(crate) mod retry;
pub(crate) mod spsc;
pub(crate) mod value;
