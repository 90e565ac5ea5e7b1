//! What the README tells people to write works: its files are those that tests run, its manifest is one,
//! and it has every variable.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::time::Duration;

use tirage_manifest::{ComponentId, Manifest, Target, TriggerRoute, World};

fn file(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The block of code that follows this mark.
fn block(mark: &str) -> String {
    let readme = file("README.md");
    let begin = format!("<!-- {mark} -->\n```");
    let (_, rest) = readme
        .split_once(&begin)
        .unwrap_or_else(|| panic!("the README has no {mark}"));
    let (_, code) = rest.split_once('\n').unwrap();
    code.split_once("```\n").unwrap().0.to_owned()
}

#[test]
fn the_step_in_the_readme_is_the_one_that_is_tested() {
    for path in [
        "tests/guests/checksum/src/lib.rs",
        "tests/guests/checksum/Cargo.toml",
    ] {
        assert_eq!(block(path), file(path), "{path}");
    }
}

#[test]
fn its_entry_fits_into_the_manifest() {
    let text = format!("{}\n{}", file("spin.toml"), block("spin.toml"));
    let manifest = Manifest::parse(&text).unwrap();
    let id: ComponentId = "checksum".parse().unwrap();
    assert_eq!(manifest.components[&id].settings.world, World::Step);

    let of_step = Target::Component(id);
    let is_private = |trigger: &&tirage_manifest::HttpTrigger| {
        trigger.target == of_step && trigger.route == TriggerRoute::Private
    };
    assert_eq!(manifest.triggers.iter().filter(is_private).count(), 1);
    let selection = manifest.select("all").unwrap();
    let (routes, warnings) = selection.routes();
    assert!(warnings.is_empty());
    let found = routes.find("/steps/checksum/").unwrap();
    assert_eq!(found.value().target, of_step);
}

#[test]
fn a_file_through_the_api_has_the_time_that_it_takes_at_the_speed_that_is_named() {
    let speed = 2_000_000;
    let readme = file("README.md");
    assert!(readme.contains("64 MiB at 2 Mbit/s"), "another speed");
    let manifest = Manifest::parse(&file("spin.toml")).unwrap();
    let api: ComponentId = "api".parse().unwrap();
    let limits = manifest.components[&api].settings.limits;
    let takes = Duration::from_secs(limits.max_request_body_bytes.get() * 8 / speed);
    for allowed in [
        limits.timeout,
        limits.outgoing.timeout,
        limits.outgoing.total_timeout,
    ] {
        assert!(allowed > takes, "{allowed:?} for what takes {takes:?}");
    }
}

#[test]
fn every_variable_is_a_setting_that_is_explained() {
    let manifest = Manifest::parse(&file("spin.toml")).unwrap();
    for (document, quote) in [("README.md", "`"), (".env.example", "")] {
        let text = file(document);
        let is_missing = |name: &String| !text.contains(&format!("{quote}{name}{quote}"));
        let missing: Vec<_> = manifest
            .variables
            .iter()
            .map(|(name, _)| name.to_string().to_uppercase())
            .filter(is_missing)
            .collect();
        assert!(missing.is_empty(), "{document} lacks {missing:?}");
    }
}
