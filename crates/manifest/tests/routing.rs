//! Every `tests/routing/*.toml` is a table of routes and the paths to find in it, or not to.
//! The cases are those of the unit tests of Spin's `crates/routes` and of the crate `routefinder`,
//! which Spin uses, and some that neither has; Spin finds the same in all of them (tried with Spin
//! 4.1.0-pre0). What is `shadowed` it tells only of routes that are written alike.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;
use tirage_manifest::{Route, RouteMatch, Routes};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    routes: Vec<String>,
    /// The indices of the routes that are never found, in the order in which that is noticed.
    #[serde(default)]
    shadowed: Vec<usize>,
    find: Vec<Find>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Find {
    path: String,
    /// The index of the route that is found.
    entry: Option<usize>,
    #[serde(default)]
    captures: BTreeMap<String, String>,
    #[serde(default)]
    path_info: String,
}

#[test]
fn paths_are_found_as_spin_finds_them() {
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

/// What the table's routes do otherwise than the table says.
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
            "shadowed are {shadowed:?}, not {:?}",
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
                "{:?} finds {actual:?}, not {expected:?}",
                find.path
            ));
        }
    }
    wrong
}
