//! Handles events on four worker threads, and keeps the order of the events of each key.
//!
//! One worker handles all events of an account, so it needs no lock for its balances.
//!
//! Run it with `cargo run --example order_per_key`. It prints:
//!
//! ```text
//! account 0: 0 +1 +2 +3 = 6
//! account 1: 0 +1 +2 +3 = 6
//! account 2: 0 +1 +2 +3 = 6
//! ```

use buslane::{Bus, Queue};
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;

#[derive(Clone)]
struct Deposit {
    account: u32,
    amount: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (statements, statement) = mpsc::channel();
    let queue = Queue::builder()
        .workers(4)
        .ordered_by(|deposit: &Deposit| deposit.account)
        // Called once for each worker: each closure has its own state.
        .spawn_each(|_worker| {
            let statements = statements.clone();
            let mut balances = HashMap::new();
            move |Deposit { account, amount }: Deposit| {
                let balance = balances.entry(account).or_insert(0);
                *balance += amount;
                statements.send((account, amount, *balance))
            }
        })?;

    let bus = Bus::new();
    bus.add_named("accounts", queue)?;
    let mut publisher = bus.publisher();
    for amount in 1..=3 {
        for account in 0..3 {
            let published = publisher.publish(Deposit { account, amount })?;
            assert!(published.is_complete());
        }
    }
    assert!(bus.close().is_done());

    let mut accounts = BTreeMap::new();
    for (account, amount, balance) in statement.try_iter() {
        let (line, last) = accounts.entry(account).or_insert((String::from("0"), 0));
        *line += &format!(" +{amount}");
        *last = balance;
    }
    accounts.iter().for_each(|(account, (line, last))| println!("account {account}: {line} = {last}"));
    Ok(())
}
