//! The keys and values.

use super::protocol::{Request, Status};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Enough that two workers seldom want the same one.
const SHARDS: usize = 16;

type Shard = HashMap<Box<[u8]>, Arc<[u8]>>;

/// The keys and values, in shards with a lock each.
#[derive(Debug, Default)]
pub(crate) struct Store([Mutex<Shard>; SHARDS]);

impl Store {
    /// Does what is asked for; returns how it ended, and the value where there is one.
    pub(crate) fn execute(&self, request: Request<'_>) -> (Status, Option<Arc<[u8]>>) {
        let found = match request {
            Request::Get { key } => self.shard(key).get(key).cloned(),
            Request::Set { key, value } => {
                self.shard(key).insert(key.into(), value.into());
                return (Status::Done, None);
            }
            Request::Del { key } => self.shard(key).remove(key),
            Request::Bad => return (Status::BadRequest, None),
        };
        (if found.is_some() { Status::Done } else { Status::NotFound }, found)
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let index = hash(key) as usize % SHARDS;
        // No operation on a map leaves it half done.
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hash of a key that is the same in every run.
pub(crate) fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}
