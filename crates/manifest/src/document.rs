//! TOML values with the location of each, so that every error names file, line and column.
//!
//! A [`Document`] is the text and the name of its file. An [`Item`] is one value in it, with its key
//! path and its location. A [`Table`] is a table whose keys have been checked against [`Keys`]. The
//! readers of the other modules take each value out as the type that they need; a failure becomes an
//! [`Error`].
//!
//! This module replaces serde, because serde can't report keys that are known but unsupported, makes
//! no suggestions, and loses the location of a value inside an untagged enum.

use std::{borrow::Cow, fmt, num::NonZeroU64, str::FromStr, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::error::{Error, Location, Problem, suggest};

/// The text of a manifest and the name of its file.
pub(crate) struct Document<'d> {
    file: Arc<str>,
    text: &'d str,
}

/// A value in a document.
#[derive(Clone)]
pub(crate) struct Item<'d> {
    document: &'d Document<'d>,
    /// The keys that lead to this value.
    path: Path,
    offset: usize,
    value: DeValue<'d>,
}

/// A table whose keys are all known.
pub(crate) struct Table<'d> {
    document: &'d Document<'d>,
    path: Path,
    offset: usize,
    entries: Vec<(Spanned<Cow<'d, str>>, Spanned<DeValue<'d>>)>,
}

/// The keys that a table may have.
pub(crate) struct Keys {
    /// Keys that this host reads.
    pub(crate) known: &'static [&'static str],
    /// Keys that Spin knows and this host doesn't support, each with an alternative.
    pub(crate) unsupported: &'static [(&'static str, &'static str)],
}

/// The path of keys that leads to a value; empty for the root.
#[derive(Clone, Default)]
struct Path(Vec<String>);

impl<'d> Document<'d> {
    pub(crate) fn new(file: &str, text: &'d str) -> Self {
        Self {
            file: file.into(),
            text,
        }
    }

    /// Parses the text; the root is always a table.
    pub(crate) fn root(&'d self) -> Result<Item<'d>, Error> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            self.locate(start)
                .error(Problem::Syntax(error.message().to_owned()))
        })?;
        Ok(Item {
            document: self,
            path: Path::default(),
            offset: 0,
            value: DeValue::Table(table.into_inner()),
        })
    }

    fn locate(&self, offset: usize) -> Location {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Location {
            file: Arc::clone(&self.file),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl<'d> Table<'d> {
    fn new(
        document: &'d Document<'d>,
        path: Path,
        offset: usize,
        table: DeTable<'d>,
        keys: &Keys,
    ) -> Result<Self, Error> {
        let table = Self {
            document,
            path,
            offset,
            entries: in_order(table),
        };
        for (key, _) in &table.entries {
            table.check_key(key, keys)?;
        }
        Ok(table)
    }

    /// Takes out the value of `key`, if the table has it.
    pub(crate) fn take(&mut self, key: &str) -> Option<Item<'d>> {
        let index = self.entries.iter().position(|(k, _)| k.get_ref() == key)?;
        let (_, value) = self.entries.remove(index);
        Some(Item::new(self.document, self.path.join(key), value))
    }

    /// Takes out the value of a required key.
    pub(crate) fn require(&mut self, key: &'static str) -> Result<Item<'d>, Error> {
        self.take(key).ok_or_else(|| self.missing(key))
    }

    /// Takes out the string of `key`, if the table has it.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, Error> {
        match self.take(key) {
            Some(item) => Ok(Some(item.string()?.to_owned())),
            None => Ok(None),
        }
    }

    /// Takes out the elements of the array `key`; without the key, the result is empty.
    pub(crate) fn array(&mut self, key: &str) -> Result<Vec<Item<'d>>, Error> {
        self.take(key).map_or(Ok(Vec::new()), Item::array)
    }

    /// Takes out the keys and values of the table `key`; without the key, the result is empty.
    pub(crate) fn entries(&mut self, key: &str) -> Result<Vec<(Item<'d>, Item<'d>)>, Error> {
        self.take(key).map_or(Ok(Vec::new()), Item::entries)
    }

    /// Takes out the strings of the array `key`; without the key, the result is empty.
    pub(crate) fn strings(&mut self, key: &str) -> Result<Vec<String>, Error> {
        self.take(key).map_or(Ok(Vec::new()), Item::strings)
    }

    /// Returns the error of a missing key.
    pub(crate) fn missing(&self, key: &'static str) -> Error {
        self.error(Problem::MissingKey {
            key,
            table: self.path.to_string(),
        })
    }

    /// Returns an error located at the start of this table.
    pub(crate) fn error(&self, problem: impl Into<Problem>) -> Error {
        self.location().error(problem)
    }

    /// Returns the location of the start of this table.
    pub(crate) fn location(&self) -> Location {
        self.document.locate(self.offset)
    }

    fn check_key(&self, key: &Spanned<Cow<'d, str>>, keys: &Keys) -> Result<(), Error> {
        let name = key.get_ref().as_ref();
        if keys.known.contains(&name) {
            return Ok(());
        }
        let unsupported = keys.unsupported.iter().find(|(known, _)| *known == name);
        let problem = match unsupported {
            Some((_, instead)) => Problem::Unsupported {
                what: self.path.join(name).dotted(),
                instead,
            },
            None => Problem::UnknownKey {
                key: name.to_owned(),
                table: self.path.to_string(),
                suggestion: suggest(name, keys.known.iter().copied()),
            },
        };
        Err(self.document.locate(key.span().start).error(problem))
    }
}

impl<'d> Item<'d> {
    fn new(document: &'d Document<'d>, path: Path, value: Spanned<DeValue<'d>>) -> Self {
        Self {
            document,
            path,
            offset: value.span().start,
            value: value.into_inner(),
        }
    }

    /// Returns the location of the start of this value.
    pub(crate) fn location(&self) -> Location {
        self.document.locate(self.offset)
    }

    /// Returns the dotted path of this value's keys.
    pub(crate) fn key(&self) -> String {
        self.path.dotted()
    }

    /// Returns an error located at this value.
    pub(crate) fn error(&self, problem: impl Into<Problem>) -> Error {
        self.location().error(problem)
    }

    /// Returns the error of a string that the key doesn't accept.
    pub(crate) fn invalid(&self, found: impl Into<String>, reason: &'static str) -> Error {
        self.error(Problem::InvalidValue {
            key: self.key(),
            found: found.into(),
            reason,
        })
    }

    pub(crate) fn is_string(&self) -> bool {
        self.value.is_str()
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(crate) fn string(&self) -> Result<&str, Error> {
        self.value
            .as_str()
            .ok_or_else(|| self.wrong_type("a string"))
    }

    /// Parses a string as a `T`.
    pub(crate) fn parse<T>(&self) -> Result<T, Error>
    where
        T: FromStr<Err: Into<Problem>>,
    {
        self.string()?
            .parse()
            .map_err(|error: T::Err| self.error(error))
    }

    /// Reads a string that is one of `names`, and returns the value at the same index of `values`.
    pub(crate) fn choice<T: Copy>(
        &self,
        names: &'static [&'static str],
        values: &[T],
    ) -> Result<T, Error> {
        let found = self.string()?;
        names
            .iter()
            .zip(values)
            .find_map(|(name, value)| (*name == found).then_some(*value))
            .ok_or_else(|| {
                self.error(Problem::NotAChoice {
                    key: self.key(),
                    choices: names,
                    found: found.to_owned(),
                    suggestion: suggest(found, names.iter().copied()),
                })
            })
    }

    pub(crate) fn boolean(&self) -> Result<bool, Error> {
        self.value
            .as_bool()
            .ok_or_else(|| self.wrong_type("true or false"))
    }

    /// Reads an integer from 1 to `maximum`.
    pub(crate) fn positive<N: TryFrom<NonZeroU64>>(&self, maximum: u64) -> Result<N, Error> {
        let integer = self
            .value
            .as_integer()
            .ok_or_else(|| self.wrong_type("an integer"))?;
        u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|number| *number <= maximum)
            .and_then(NonZeroU64::new)
            .and_then(|number| N::try_from(number).ok())
            .ok_or_else(|| {
                self.error(Problem::OutOfRange {
                    key: self.key(),
                    maximum,
                    found: integer.to_string(),
                })
            })
    }

    /// Returns the elements of an array. Each has the array's key.
    pub(crate) fn array(self) -> Result<Vec<Self>, Error> {
        match self.value {
            DeValue::Array(values) => Ok(values
                .into_iter()
                .map(|value| Self::new(self.document, self.path.clone(), value))
                .collect()),
            _ => Err(self.wrong_type("an array")),
        }
    }

    /// Returns the strings of an array.
    pub(crate) fn strings(self) -> Result<Vec<String>, Error> {
        let strings = self.array()?;
        strings
            .iter()
            .map(|item| Ok(item.string()?.to_owned()))
            .collect()
    }

    /// Reads a table and checks its keys against `keys`.
    pub(crate) fn table(self, keys: &Keys) -> Result<Table<'d>, Error> {
        match self.value {
            DeValue::Table(table) => Table::new(self.document, self.path, self.offset, table, keys),
            _ => Err(self.wrong_type("a table")),
        }
    }

    /// Returns the value of one key of a table without checking the other keys.
    pub(crate) fn peek(&self, key: &str) -> Option<Self> {
        let (_, value) = self
            .value
            .as_table()?
            .iter()
            .find(|(k, _)| k.get_ref() == key)?;
        Some(Self::new(self.document, self.path.join(key), value.clone()))
    }

    /// Returns the keys and values of a table that may have any keys.
    pub(crate) fn entries(self) -> Result<Vec<(Self, Self)>, Error> {
        let DeValue::Table(table) = self.value else {
            return Err(self.wrong_type("a table"));
        };
        Ok(in_order(table)
            .into_iter()
            .map(|(key, value)| {
                let path = self.path.join(key.get_ref());
                let span = key.span();
                let key = Spanned::new(span, DeValue::String(key.into_inner()));
                (
                    Self::new(self.document, path.clone(), key),
                    Self::new(self.document, path, value),
                )
            })
            .collect())
    }

    pub(crate) fn wrong_type(&self, expected: &'static str) -> Error {
        self.error(Problem::WrongType {
            key: self.key(),
            expected,
            found: self.type_name(),
        })
    }

    /// Formats a string or an integer for a message; of other values, names the type.
    pub(crate) fn display(&self) -> String {
        match &self.value {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(integer) => integer.to_string(),
            _ => self.type_name().to_owned(),
        }
    }

    fn type_name(&self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        }
    }
}

impl Path {
    fn join(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }

    fn dotted(&self) -> String {
        self.0.join(".")
    }
}

/// Formats the table at this path for a message.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("the manifest")
        } else {
            write!(f, "[{}]", self.dotted())
        }
    }
}

/// Sorts a table's entries by their location, so that the first mistake in the text is reported.
fn in_order<'d>(table: DeTable<'d>) -> Vec<(Spanned<Cow<'d, str>>, Spanned<DeValue<'d>>)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}
