//! A page of a bucket's keys, as both versions of the list operation need it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use s3s::dto::{CommonPrefix, Object, ObjectStorageClass};

use super::object_file::Record;

const MAX_KEYS: usize = 1000;

/// What is asked for.
pub(super) struct Query<'a> {
    pub(super) prefix: &'a str,
    /// Keys that have it after the prefix are summed up by what is before and with it.
    pub(super) delimiter: Option<&'a str>,
    /// Only what comes after this.
    pub(super) after: &'a str,
    pub(super) max_keys: Option<i32>,
}

/// What there is.
#[derive(Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    pub(super) prefixes: Vec<CommonPrefix>,
    /// If there is more: what to go on after.
    pub(super) next: Option<String>,
}

impl Page {
    pub(super) fn read(objects: &BTreeMap<String, Arc<Record>>, query: &Query<'_>) -> Self {
        let max = query.max_keys().min(MAX_KEYS);
        let mut page = Self::default();
        if max == 0 {
            return page;
        }
        let mut last = query.after.to_owned();
        let mut start = match query.after < query.prefix {
            true => Bound::Included(query.prefix.to_owned()),
            false => Bound::Excluded(query.after.to_owned()),
        };
        loop {
            let range = (start.clone(), Bound::Unbounded);
            let Some((key, record)) = objects.range::<String, _>(range).next() else {
                return page;
            };
            let Some(rest) = key.strip_prefix(query.prefix) else {
                return page;
            };
            let group = query.group(rest);
            // The page before ended with this group.
            let seen = group.as_ref().is_some_and(|group| *group == last);
            if !seen {
                if page.objects.len() + page.prefixes.len() == max {
                    page.next = Some(last);
                    return page;
                }
                last = group.clone().unwrap_or_else(|| key.clone());
                match &group {
                    Some(group) => page.prefixes.push(CommonPrefix {
                        prefix: Some(group.clone()),
                    }),
                    None => page.objects.push(object(record)),
                }
            }
            start = group
                .and_then(|group| end_of(&group))
                .map_or_else(|| Bound::Excluded(key.clone()), Bound::Included);
        }
    }
}

impl Query<'_> {
    pub(super) fn max_keys(&self) -> usize {
        self.max_keys
            .map_or(MAX_KEYS, |max| usize::try_from(max).unwrap_or(0))
    }

    /// By what a key is summed up, given what comes after the prefix.
    fn group(&self, rest: &str) -> Option<String> {
        let delimiter = self.delimiter.filter(|delimiter| !delimiter.is_empty())?;
        let (before, _) = rest.split_once(delimiter)?;
        Some(format!("{}{before}{delimiter}", self.prefix))
    }
}

/// The first text after all that begin with `group`, as far as one can be written.
fn end_of(group: &str) -> Option<String> {
    let mut characters: Vec<char> = group.chars().collect();
    while let Some(last) = characters.pop() {
        // Surrogates are no characters: the one after them is the next.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

fn object(record: &Record) -> Object {
    Object {
        key: Some(record.key.clone()),
        size: i64::try_from(record.size).ok(),
        e_tag: Some(record.e_tag()),
        last_modified: Some(record.last_modified()),
        storage_class: Some(ObjectStorageClass::from_static(
            ObjectStorageClass::STANDARD,
        )),
        ..Object::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::object_file::{Attributes, Checksums};

    fn bucket(keys: &[&str]) -> BTreeMap<String, Arc<Record>> {
        keys.iter()
            .map(|key| {
                let record = Record {
                    key: (*key).to_owned(),
                    size: 1,
                    etag: String::new(),
                    modified: 0,
                    checksums: Checksums::default(),
                    attributes: Attributes::default(),
                };
                ((*key).to_owned(), Arc::new(record))
            })
            .collect()
    }

    /// All pages of that size, one string each.
    fn pages(keys: &[&str], prefix: &str, delimiter: Option<&str>, max: i32) -> Vec<String> {
        let mut pages = Vec::new();
        let mut after = String::new();
        loop {
            let page = Page::read(
                &bucket(keys),
                &Query {
                    prefix,
                    delimiter,
                    after: &after,
                    max_keys: Some(max),
                },
            );
            let objects = page.objects.into_iter().filter_map(|object| object.key);
            let prefixes = page.prefixes.into_iter().filter_map(|group| group.prefix);
            pages.push(objects.chain(prefixes).collect::<Vec<_>>().join(" "));
            match page.next {
                Some(next) => after = next,
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_are_whole_and_in_order() {
        let keys = ["a", "b/1", "b/2", "b/2/x", "b0", "c/é", "c/\u{10ffff}"];
        assert_eq!(pages(&keys, "", None, 1000), [keys.join(" ")]);
        assert_eq!(pages(&keys, "b/", None, 2), ["b/1 b/2", "b/2/x"]);
        assert_eq!(pages(&keys, "", Some("/"), 1000), ["a b0 b/ c/"]);
        assert_eq!(pages(&keys, "", Some("/"), 1), ["a", "b/", "b0", "c/"]);
        assert_eq!(pages(&keys, "b/", Some("/"), 2), ["b/1 b/2", "b/2/"]);
        assert_eq!(pages(&keys, "x", None, 1), [""]);
        assert_eq!(pages(&keys, "", None, 0), [""]);
        assert_eq!(pages(&keys, "c/\u{10ffff}", Some("/"), 5), ["c/\u{10ffff}"]);
    }

    #[test]
    fn a_page_that_is_just_full_says_that_it_is_the_last() {
        assert_eq!(pages(&["a", "b"], "", None, 2), ["a b"]);
    }
}
