//! The bus: fan-out, publishers, changes of the sink list, faults of sinks, and the end.

mod attach;
mod close;
mod fan_out;
mod faults;
mod in_place;
mod inference;
mod kept;
mod list;
mod local;
mod nested;
mod publish;
mod remove;
mod snapshot;
mod stress;
mod together;
