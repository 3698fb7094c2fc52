//! The typed values of a record, and how they are encoded.
//!
//! A record is a sequence of entries. Each begins with the index of the field in its callsite and a
//! tag, one byte each. A number follows in little endian; a text or bytes follow with their length
//! in 16 bits before them. The names stay in the metadata of the callsite.

use std::fmt;
use tracing_core::Metadata;

pub(crate) mod tag {
    //! The tags of the entries of a record.
    pub(crate) const I64: u8 = 0;
    pub(crate) const U64: u8 = 1;
    pub(crate) const I128: u8 = 2;
    pub(crate) const U128: u8 = 3;
    pub(crate) const F64: u8 = 4;
    pub(crate) const BOOL: u8 = 5;
    pub(crate) const STR: u8 = 6;
    pub(crate) const DEBUG: u8 = 7;
    pub(crate) const ERROR: u8 = 8;
    pub(crate) const BYTES: u8 = 9;
}

/// The value of a field.
///
/// [`Display`](fmt::Display) writes it as a line of text shows it: a string in quotes, everything
/// else bare.
///
/// # Examples
/// ```
/// use buslane_tracing::Value;
/// assert_eq!(Value::Str("two words").to_string(), "\"two words\"");
/// assert_eq!(Value::F64(0.5).to_string(), "0.5");
/// assert_eq!(Value::Bytes(&[1, 255]).to_string(), "[01 ff]");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A signed number.
    I64(i64),
    /// An unsigned number.
    U64(u64),
    /// A signed number of 128 bits.
    I128(i128),
    /// An unsigned number of 128 bits.
    U128(u128),
    /// A number with a fraction.
    F64(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// The text of a value that was recorded by its `Debug` or `Display`.
    Debug(&'a str),
    /// The text of an error, and of its sources after colons.
    Error(&'a str),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Value::I64(value) => fmt::Display::fmt(&value, f),
            Value::U64(value) => fmt::Display::fmt(&value, f),
            Value::I128(value) => fmt::Display::fmt(&value, f),
            Value::U128(value) => fmt::Display::fmt(&value, f),
            // `Debug` shows that 1.0 is not a whole number.
            Value::F64(value) => fmt::Debug::fmt(&value, f),
            Value::Bool(value) => fmt::Display::fmt(&value, f),
            Value::Str(text) => fmt::Debug::fmt(text, f),
            Value::Debug(text) | Value::Error(text) => f.write_str(text),
            Value::Bytes(bytes) => {
                f.write_str("[")?;
                for (position, byte) in bytes.iter().enumerate() {
                    write!(f, "{}{byte:02x}", if position == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A field of a record: its name and its value.
///
/// # Examples
/// ```
/// use buslane_tracing::Record;
/// fn names(record: &Record) -> Vec<&'static str> {
///     record.fields().map(|field| field.name()).collect()
/// }
/// # let _ = names;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    index: usize,
    name: &'static str,
    value: Value<'a>,
}

impl<'a> Field<'a> {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        self.value
    }

    /// Returns the position of the field among those of its callsite.
    pub(crate) fn index(&self) -> usize {
        self.index
    }
}

/// An iterator over the fields of a [`Record`](crate::Record), in the order of recording.
///
/// # Examples
/// ```
/// use buslane_tracing::Record;
/// fn print(record: &Record) {
///     for field in record.fields() {
///         println!("{} = {}", field.name(), field.value());
///     }
/// }
/// # let _ = print;
/// ```
#[derive(Clone)]
pub struct Fields<'a> {
    metadata: &'static Metadata<'static>,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(metadata: &'static Metadata<'static>, encoded: &'a [u8]) -> Self {
        Self { metadata, rest: encoded }
    }

    fn take<const M: usize>(&mut self) -> Option<[u8; M]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(u16::from_le_bytes(self.take()?));
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn value(&mut self, tag: u8) -> Option<Value<'a>> {
        Some(match tag {
            tag::I64 => Value::I64(i64::from_le_bytes(self.take()?)),
            tag::U64 => Value::U64(u64::from_le_bytes(self.take()?)),
            tag::I128 => Value::I128(i128::from_le_bytes(self.take()?)),
            tag::U128 => Value::U128(u128::from_le_bytes(self.take()?)),
            tag::F64 => Value::F64(f64::from_le_bytes(self.take()?)),
            tag::BOOL => Value::Bool(self.take::<1>()? != [0]),
            tag::STR => Value::Str(self.text()?),
            tag::DEBUG => Value::Debug(self.text()?),
            tag::ERROR => Value::Error(self.text()?),
            tag::BYTES => Value::Bytes(self.bytes()?),
            _ => return None,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let [index, tag] = self.take()?;
        let value = self.value(tag)?;
        let index = usize::from(index);
        let name = self.metadata.fields().iter().nth(index)?.name();
        Some(Field { index, name, value })
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
