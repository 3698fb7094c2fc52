//! Chains of errors: each cause is printed once, whether a program prints one text or the chain.

use buslane::error::{
    AddError, BuildError, Closed, ConfigError, OutOfMemory, RecvError, RecvTimeoutError, RemoveError,
    SpawnError, SubscribeError, TryRecvError,
};
use buslane::stats::Ledger;
use buslane::{BoxError, Overflow, WriteError};
use std::error::Error;
use std::{fmt, io};

/// An error with a cause, which follows the rule of the standard library: its text omits the cause.
#[derive(Debug)]
struct Because(&'static str, Option<BoxError>);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Because {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// A user's error with two further causes.
fn users() -> Because {
    let last = Because("the cable is loose", None);
    Because("no route", Some(Because("the link is down", Some(last.into())).into()))
}

/// Returns the text of an error and of each of its sources.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

fn failed(source: impl Into<BoxError>) -> WriteError<u32> {
    WriteError::Failed { event: 7, source: source.into() }
}

#[test]
fn chain_of_causes_has_each_cause_once() {
    let thread = SpawnError::Thread(io::Error::other(users()));
    for (error, first) in [
        (&failed(users()) as &dyn Error, "the sink failed: no route"),
        (&failed(io::Error::other(users())), "the sink failed: no route"),
        (&failed(failed(users())), "the sink failed: the sink failed: no route"),
        (&thread, "the worker's thread cannot be started: no route"),
    ] {
        assert_eq!(chain(error), [first, "the link is down", "the cable is loose"]);
    }
}

#[test]
fn error_of_a_setting_is_one_text() {
    let setting = ConfigError::other("speed 0 is invalid: it must be at least 1");
    let memory = OutOfMemory::new(7);
    let errors: [(BoxError, BoxError); 4] = [
        (BuildError::from(setting).into(), BuildError::from(memory).into()),
        (SpawnError::from(setting).into(), SpawnError::from(memory).into()),
        (AddError::from(setting).into(), AddError::from(memory).into()),
        (SubscribeError::from(setting).into(), SubscribeError::from(memory).into()),
    ];
    for (invalid, out_of_memory) in errors {
        let (invalid, out_of_memory) = (chain(&*invalid), chain(&*out_of_memory));
        assert!(invalid.len() == 1 && invalid[0].ends_with(&setting.to_string()), "{invalid:?}");
        let ends = out_of_memory[0].ends_with(&memory.to_string());
        assert!(out_of_memory.len() == 1 && ends, "{out_of_memory:?}");
    }
    assert_eq!(chain(&failed(setting)), [format!("the sink failed: {setting}")]);
}

#[test]
fn error_without_a_cause_has_no_source() {
    let mut ledger = Ledger::default();
    ledger.offered = 1;
    let errors: Vec<BoxError> = vec![
        WriteError::Full(()).into(),
        WriteError::Closed(()).into(),
        WriteError::Timeout(()).into(),
        WriteError::Reentrant(()).into(),
        Closed(()).into(),
        ConfigError::other("a").into(),
        OutOfMemory::new(1).into(),
        SubscribeError::Future { asked: 2, next: 1 }.into(),
        SubscribeError::Inverted { first: 2, last: 1 }.into(),
        SubscribeError::NoTime.into(),
        SubscribeError::TooManyReaders { most: 1 }.into(),
        AddError::Closed.into(),
        AddError::Itself.into(),
        RemoveError::Unknown.into(),
        RecvError::Closed.into(),
        TryRecvError::Overflowed.into(),
        RecvTimeoutError::Overflowed.into(),
        "sleep".parse::<Overflow>().unwrap_err().into(),
        ledger.check().unwrap_err().into(),
    ];
    for error in errors {
        assert_eq!(chain(&*error), [error.to_string()]);
    }
}
