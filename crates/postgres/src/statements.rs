//! Which statements the server keeps parsed for one session.
//!
//! Parsing and planning cost more than running a small statement does. A statement that a session
//! meets for the third time gets a name with the server, and is only bound and executed from then
//! on. Not earlier: a text that comes back is code, while one that doesn't may have somebody's data
//! in it, and names are visible to the session's later users (`pg_prepared_statements`).
//!
//! A name can go wrong where an unnamed statement can't: the table behind it was altered, its
//! parameters' types were, or somebody deallocated it. All of that shows before the statement is
//! bound, that is before it had any effect, so it is an error of its own (`Error::Outdated`), the
//! name is forgotten, and the caller may run the statement again without one.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::Column;

/// How often a statement is met before it gets a name.
const MEETINGS: u32 = 3;

/// The longest statement that gets a name, in bytes: what is longer is made of data.
const LONGEST: usize = 16 * 1024;

/// The statements that one session has met, by their text.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    /// How many may have a name; none by default.
    capacity: usize,
    met: HashMap<Arc<str>, Met>,
    clock: u64,
    named: u64,
    /// Names that the server shall forget as soon as something is sent.
    forgotten: Vec<Arc<str>>,
    /// What runs each routine that the server knows by its name. They are few, and don't count.
    routines: Vec<(&'static str, Bytes)>,
}

#[derive(Debug)]
struct Met {
    text: Arc<str>,
    times: u32,
    last: u64,
    /// Its name, from the third meeting on.
    name: Option<Arc<str>>,
    /// What it returns, once the server has said so.
    columns: Option<Arc<[Column]>>,
}

/// How a statement that has a name is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The statement.
    pub(crate) text: Arc<str>,
    pub(crate) name: Arc<str>,
    /// Whether the server still has to parse it.
    pub(crate) is_new: bool,
    /// What it returns; to be asked if that isn't known.
    pub(crate) columns: Option<Arc<[Column]>>,
}

impl Statements {
    /// Lets this many statements have names; 0 for none.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Meets a statement; how to send it, if it has a name.
    pub(crate) fn meet(&mut self, statement: &str) -> Option<Plan> {
        if self.capacity == 0 || statement.len() > LONGEST {
            return None;
        }
        self.clock += 1;
        let Some(met) = self.met.get_mut(statement) else {
            self.make_room();
            let text: Arc<str> = statement.into();
            let met = Met {
                text: Arc::clone(&text),
                times: 1,
                last: self.clock,
                name: None,
                columns: None,
            };
            self.met.insert(text, met);
            return None;
        };
        met.times = met.times.saturating_add(1);
        met.last = self.clock;
        if met.times < MEETINGS {
            return None;
        }
        let is_new = met.name.is_none();
        let name = met.name.get_or_insert_with(|| {
            self.named += 1;
            format!("tirage_{}", self.named).into()
        });
        Some(Plan {
            text: Arc::clone(&met.text),
            name: Arc::clone(name),
            is_new,
            columns: met.columns.clone(),
        })
    }

    /// Whether a statement has a name.
    pub(crate) fn have_named(&self, statement: &str) -> bool {
        self.met
            .get(statement)
            .is_some_and(|met| met.name.is_some())
    }

    /// Remembers what a named statement returns.
    pub(crate) fn describe(&mut self, statement: &str, columns: &Arc<[Column]>) {
        if let Some(met) = self.met.get_mut(statement) {
            met.columns = Some(Arc::clone(columns));
        }
    }

    /// Forgets a statement; if it has a name, the server shall forget it too.
    pub(crate) fn forget(&mut self, statement: &str) {
        let name = self.met.remove(statement).and_then(|met| met.name);
        self.forgotten.extend(name);
    }

    /// Whether anything is to have a name.
    pub(crate) fn are_kept(&self) -> bool {
        self.capacity > 0
    }

    /// What runs a routine by its name, if the server knows it.
    pub(crate) fn routine(&self, name: &str) -> Option<&Bytes> {
        let known = self.routines.iter().find(|(known, _)| *known == name);
        known.filter(|_| self.are_kept()).map(|(_, run)| run)
    }

    /// Learns that the server knows a routine.
    pub(crate) fn learn_routine(&mut self, name: &'static str, run: Bytes) {
        self.forget_routine(name);
        self.routines.push((name, run));
    }

    /// Learns that the server may not know a routine.
    pub(crate) fn forget_routine(&mut self, name: &str) {
        self.routines.retain(|(known, _)| *known != name);
    }

    /// Forgets all statements: the server has.
    pub(crate) fn clear(&mut self) {
        self.routines.clear();
        self.met.clear();
        self.forgotten.clear();
    }

    /// The names that the server shall forget now.
    pub(crate) fn take_forgotten(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.forgotten)
    }

    /// Forgets what was met the longest time ago, where there are too many.
    fn make_room(&mut self) {
        while self.met.len() >= self.capacity {
            let oldest = self.met.iter().min_by_key(|(_, met)| met.last);
            let Some(oldest) = oldest.map(|(text, _)| Arc::clone(text)) else {
                return;
            };
            self.forget(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(capacity: usize) -> Statements {
        let mut statements = Statements::default();
        statements.set_capacity(capacity);
        statements
    }

    fn meet(statements: &mut Statements, times: usize) -> Option<Plan> {
        (0..times).map(|_| statements.meet("a")).last().flatten()
    }

    #[test]
    fn the_third_meeting_gives_a_name_and_the_columns_save_asking() {
        let mut statements = statements(4);
        assert_eq!(meet(&mut statements, 2), None);
        let new = meet(&mut statements, 1).unwrap();
        assert_eq!(
            (&*new.text, &*new.name, new.is_new, new.columns),
            ("a", "tirage_1", true, None)
        );
        let parsed = meet(&mut statements, 1).unwrap();
        assert_eq!((parsed.is_new, &parsed.columns), (false, &None));
        let none: Arc<[Column]> = Arc::default();
        statements.describe("a", &none);
        let described = meet(&mut statements, 1).unwrap();
        assert_eq!(described.columns, Some(none));
    }

    #[test]
    fn what_is_forgotten_begins_anew_under_another_name() {
        let mut statements = statements(4);
        meet(&mut statements, 3);
        statements.forget("a");
        assert_eq!(statements.take_forgotten(), ["tirage_1".into()]);
        assert!(statements.take_forgotten().is_empty());
        assert_eq!(meet(&mut statements, 2), None);
        assert_eq!(&*meet(&mut statements, 1).unwrap().name, "tirage_2");
    }

    #[test]
    fn the_one_met_longest_ago_makes_room() {
        let mut statements = statements(2);
        meet(&mut statements, 3);
        statements.meet("b");
        meet(&mut statements, 1);
        statements.meet("c");
        assert_eq!(&*meet(&mut statements, 1).unwrap().name, "tirage_1");
        statements.meet("b");
        statements.meet("d");
        assert_eq!(statements.take_forgotten(), ["tirage_1".into()]);
    }

    #[test]
    fn without_room_and_beyond_the_longest_nothing_has_a_name() {
        let long = "x".repeat(LONGEST + 1);
        let (mut none, mut some) = (statements(0), statements(2));
        assert_eq!(meet(&mut none, 5), None);
        assert!((0..5).all(|_| some.meet(&long).is_none()));
    }
}
