//! A cache of the prepared statements of one session.
//!
//! Parsing and planning cost more than executing a small statement. A statement that a session sends
//! for the third time becomes a named prepared statement, which is only bound and executed from then
//! on. Not earlier: a text that is sent again is code, but one that isn't may contain personal
//! data, and later users of the session can read prepared statements (`pg_prepared_statements`).
//!
//! A prepared statement becomes outdated when its table or the type of a parameter changes, or when
//! it is deallocated. The server reports that when the statement is bound, before it has an effect.
//! The error has a variant of its own (`Error::Outdated`), the cache drops the entry, and the caller
//! may send the statement again without a name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Column;

/// Number of times that a statement is sent before it is prepared.
const USES: u32 = 3;

/// Maximum length of a prepared statement in bytes. Longer texts mostly consist of data.
const MAX_LENGTH: usize = 16 * 1024;

/// The statements that one session has sent lately, by their text.
#[derive(Debug, Default)]
pub(crate) struct StatementCache {
    /// Maximum number of entries; 0 disables the cache.
    capacity: usize,
    entries: HashMap<Arc<str>, Entry>,
    clock: u64,
    named: u64,
    /// Names that the server is asked to close with the next statement.
    evicted: Vec<Arc<str>>,
}

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    uses: u32,
    last_use: u64,
    /// The prepared statement's name, from the third use on.
    name: Option<Arc<str>>,
    /// The result's columns, once the server has described them.
    columns: Option<Arc<[Column]>>,
}

/// A prepared statement to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) text: Arc<str>,
    pub(crate) name: Arc<str>,
    /// `true` if the server still has to parse it.
    pub(crate) is_new: bool,
    /// The result's columns; `None` if the server still has to describe them.
    pub(crate) columns: Option<Arc<[Column]>>,
}

impl StatementCache {
    /// Sets the maximum number of entries; 0 disables the cache.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Counts a use of the statement. Returns the prepared statement to execute, or `None` if it is to
    /// be sent unnamed.
    pub(crate) fn get(&mut self, statement: &str) -> Option<Prepared> {
        if self.capacity == 0 || statement.len() > MAX_LENGTH {
            return None;
        }
        self.clock += 1;
        let Some(entry) = self.entries.get_mut(statement) else {
            self.make_room();
            let text: Arc<str> = statement.into();
            let entry = Entry {
                text: Arc::clone(&text),
                uses: 1,
                last_use: self.clock,
                name: None,
                columns: None,
            };
            self.entries.insert(text, entry);
            return None;
        };
        entry.uses = entry.uses.saturating_add(1);
        entry.last_use = self.clock;
        if entry.uses < USES {
            return None;
        }
        let is_new = entry.name.is_none();
        let name = entry.name.get_or_insert_with(|| {
            self.named += 1;
            format!("tirage_{}", self.named).into()
        });
        Some(Prepared {
            text: Arc::clone(&entry.text),
            name: Arc::clone(name),
            is_new,
            columns: entry.columns.clone(),
        })
    }

    /// Stores the columns that a prepared statement returns.
    pub(crate) fn set_columns(&mut self, statement: &str, columns: &Arc<[Column]>) {
        if let Some(entry) = self.entries.get_mut(statement) {
            entry.columns = Some(Arc::clone(columns));
        }
    }

    /// Removes a statement and, if it is prepared, has the server close it.
    pub(crate) fn remove(&mut self, statement: &str) {
        let name = self.entries.remove(statement).and_then(|entry| entry.name);
        self.evicted.extend(name);
    }

    /// Removes all statements, after the server has deallocated them.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.evicted.clear();
    }

    /// Takes the names that the server is to close now.
    pub(crate) fn take_evicted(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.evicted)
    }

    /// Removes the least recently used statements until there is room for another.
    fn make_room(&mut self) {
        while self.entries.len() >= self.capacity {
            let oldest = self.entries.values().min_by_key(|entry| entry.last_use);
            let Some(oldest) = oldest.map(|entry| Arc::clone(&entry.text)) else {
                return;
            };
            self.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(capacity: usize) -> StatementCache {
        let mut cache = StatementCache::default();
        cache.set_capacity(capacity);
        cache
    }

    fn get(cache: &mut StatementCache, times: usize) -> Option<Prepared> {
        (0..times).map(|_| cache.get("a")).last().flatten()
    }

    #[test]
    fn the_third_use_prepares_and_known_columns_are_not_described_again() {
        let mut cache = cache(4);
        assert_eq!(get(&mut cache, 2), None);
        let new = get(&mut cache, 1).unwrap();
        assert_eq!(
            (&*new.text, &*new.name, new.is_new, new.columns),
            ("a", "tirage_1", true, None)
        );
        let parsed = get(&mut cache, 1).unwrap();
        assert_eq!((parsed.is_new, &parsed.columns), (false, &None));
        let none: Arc<[Column]> = Arc::default();
        cache.set_columns("a", &none);
        let described = get(&mut cache, 1).unwrap();
        assert_eq!(described.columns, Some(none));
    }

    #[test]
    fn a_removed_statement_gets_another_name_later() {
        let mut cache = cache(4);
        get(&mut cache, 3);
        cache.remove("a");
        assert_eq!(cache.take_evicted(), ["tirage_1".into()]);
        assert!(cache.take_evicted().is_empty());
        assert_eq!(get(&mut cache, 2), None);
        assert_eq!(&*get(&mut cache, 1).unwrap().name, "tirage_2");
    }

    #[test]
    fn the_least_recently_used_statement_is_evicted() {
        let mut cache = cache(2);
        get(&mut cache, 3);
        cache.get("b");
        get(&mut cache, 1);
        cache.get("c");
        assert_eq!(&*get(&mut cache, 1).unwrap().name, "tirage_1");
        cache.get("b");
        cache.get("d");
        assert_eq!(cache.take_evicted(), ["tirage_1".into()]);
    }

    #[test]
    fn a_disabled_cache_and_long_statements_prepare_nothing() {
        let long = "x".repeat(MAX_LENGTH + 1);
        let (mut none, mut some) = (cache(0), cache(2));
        assert_eq!(get(&mut none, 5), None);
        assert!((0..5).all(|_| some.get(&long).is_none()));
    }
}
