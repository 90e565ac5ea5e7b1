//! Every `tests/routing/*.toml` has a table of routes, and paths with the expected results.
//!
//! The cases are those of the unit tests of Spin's `crates/routes` and of the crate `routefinder`,
//! which Spin uses, and some more. Spin 4.1.0-pre0 finds the same routes in all of them, but reports
//! only identical routes as shadowed.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;
use tirage_manifest::{Route, RouteMatch, Routes};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    routes: Vec<String>,
    /// Indices of the routes that never match, in the order in which they are reported.
    #[serde(default)]
    shadowed: Vec<usize>,
    find: Vec<Find>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Find {
    path: String,
    /// Index of the expected route.
    entry: Option<usize>,
    #[serde(default)]
    captures: BTreeMap<String, String>,
    #[serde(default)]
    path_info: String,
}

#[test]
fn paths_match_the_same_routes_as_in_spin() {
    let mut wrong = Vec::new();
    let mut tables = 0;
    for file in fs::read_dir("tests/routing").unwrap() {
        let path = file.unwrap().path();
        let table: Table = toml::from_str(&fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        tables += 1;
        wrong.extend(
            check(&table)
                .into_iter()
                .map(|line| format!("{}: {line}", path.display())),
        );
    }
    assert!(tables > 0);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Returns the differences between the expected and the actual results.
fn check(table: &Table) -> Vec<String> {
    let parsed: Vec<Route> = match table.routes.iter().map(|route| route.parse()).collect() {
        Ok(parsed) => parsed,
        Err(error) => return vec![error.to_string()],
    };
    let (routes, shadowed) = Routes::build(parsed.into_iter().zip(0_usize..));
    let mut wrong = Vec::new();

    let shadowed: Vec<usize> = shadowed
        .into_iter()
        .map(|shadowed| shadowed.value)
        .collect();
    if shadowed != table.shadowed {
        wrong.push(format!(
            "shadowed: got {shadowed:?}, expected {:?}",
            table.shadowed
        ));
    }
    for find in &table.find {
        let expected = find.entry.map(|entry| {
            let captures: Vec<_> = find
                .captures
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            (entry, captures, find.path_info.as_str())
        });
        let found = routes.find(&find.path);
        let path_info = found
            .as_ref()
            .map(RouteMatch::path_info)
            .unwrap_or_default();
        let actual = found.as_ref().map(|found| {
            let mut captures: Vec<_> = found.captures().collect();
            captures.sort_unstable();
            (*found.value(), captures, path_info.as_ref())
        });
        if actual != expected {
            wrong.push(format!(
                "{:?}: got {actual:?}, expected {expected:?}",
                find.path
            ));
        }
    }
    wrong
}
