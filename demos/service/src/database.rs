//! The database of the orders: SQLite, a transaction for each batch.

use crate::orders::{Item, Order};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, params};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long a transaction waits for another process that uses the file.
const BUSY: Duration = Duration::from_millis(100);

/// An open database.
#[derive(Debug)]
pub(crate) struct Database(Connection);

/// An order with the time at which it was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) order: Order,
    pub(crate) at: SystemTime,
}

impl Database {
    /// Opens the file, or creates it, and reads the orders of earlier runs.
    ///
    /// A commit is safe from a crash of the process. With `durable` it is on the disk, and so safe
    /// from a power failure, too.
    pub(crate) fn open(path: &Path, durable: bool) -> rusqlite::Result<(Self, Vec<Order>)> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", if durable { "full" } else { "normal" })?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS orders (
                 id INTEGER PRIMARY KEY,
                 item TEXT NOT NULL,
                 quantity INTEGER NOT NULL,
                 microseconds INTEGER NOT NULL
             )",
        )?;
        let earlier = read(&connection)?;
        Ok((Self(connection), earlier))
    }

    /// Writes a batch in one transaction: all of it, or on an error nothing.
    pub(crate) fn write(&mut self, batch: &[Row]) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO orders VALUES (?, ?, ?, ?)")?;
            for Row { order, at } in batch {
                let time = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let time = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
                insert.execute(params![number(order.id), order.item.name(), order.quantity, time])?;
            }
        }
        transaction.commit()
    }
}

/// SQLite has signed numbers only. Orders are numbered from 1, so this never saturates.
fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<Order>> {
    let mut select = connection.prepare("SELECT id, item, quantity FROM orders")?;
    let orders = select.query_map([], |row| {
        let (id, item, quantity): (i64, String, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let item = Item::named(&item).ok_or(Error::InvalidColumnType(1, item, Type::Text))?;
        Ok(Order { id: id.unsigned_abs(), item, quantity })
    })?;
    orders.collect()
}
