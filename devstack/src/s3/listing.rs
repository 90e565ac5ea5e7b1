//! One page of a bucket's keys, for both versions of the list operation.

use std::ops::Bound;

use s3s::dto::{CommonPrefix, Object, ObjectStorageClass};

use super::object_file::Record;
use super::storage::Index;

const MAX_KEYS: usize = 1000;

/// Parameters of a list operation.
pub(super) struct Query<'a> {
    pub(super) prefix: &'a str,
    /// Groups keys that contain it after the prefix, by what precedes it.
    pub(super) delimiter: Option<&'a str>,
    /// Excludes this key and all before it.
    pub(super) after: &'a str,
    pub(super) max_keys: Option<i32>,
}

/// One page of the result.
#[derive(Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    pub(super) prefixes: Vec<CommonPrefix>,
    /// Last key or group of this page, if there are more.
    pub(super) next: Option<String>,
}

impl Page {
    pub(super) fn read(objects: &Index, query: &Query<'_>) -> Self {
        let max = query.max_keys().min(MAX_KEYS);
        let mut page = Self::default();
        if max == 0 {
            return page;
        }
        // Last key or group of the page so far.
        let mut last = query.after.to_owned();
        let start = match query.after < query.prefix {
            true => Bound::Included(query.prefix),
            false => Bound::Excluded(query.after),
        };
        for (key, record) in objects.range::<str, _>((start, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(query.prefix) else {
                break;
            };
            let group = query.group(rest);
            if group.as_ref().is_some_and(|group| *group == last) {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == max {
                page.next = Some(last);
                break;
            }
            last = group.clone().unwrap_or_else(|| key.clone());
            match group {
                None => page.objects.push(object(record)),
                Some(_) => page.prefixes.push(CommonPrefix { prefix: group }),
            }
        }
        page
    }
}

impl Query<'_> {
    pub(super) fn max_keys(&self) -> usize {
        self.max_keys
            .map_or(MAX_KEYS, |max| usize::try_from(max).unwrap_or(0))
    }

    /// Returns the group of a key, given the part of it after the prefix.
    fn group(&self, rest: &str) -> Option<String> {
        let delimiter = self.delimiter.filter(|delimiter| !delimiter.is_empty())?;
        let (before, _) = rest.split_once(delimiter)?;
        Some(format!("{}{before}{delimiter}", self.prefix))
    }
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
    use std::collections::BTreeMap;
    use std::sync::Arc;

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

    /// Returns all pages of that size, one string each.
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
    fn pages_are_complete_and_in_order() {
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
    fn a_last_page_that_is_full_has_no_continuation() {
        assert_eq!(pages(&["a", "b"], "", None, 2), ["a b"]);
    }
}
