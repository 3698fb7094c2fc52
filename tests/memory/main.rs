//! Memory: publishing allocates nothing, each part costs what the documentation states, and a
//! failed allocation is an error.
//!
//! The binary counts for each thread what that thread allocates. Tests that run at the same time do
//! not disturb each other.

mod allocation;
mod footprint;
mod given_back;
mod growth;
mod local_publishers;
mod out_of_memory;
mod retry;
mod ring_blocks;

#[global_allocator]
static ALLOCATOR: test_support::heap::Counting = test_support::heap::Counting;
