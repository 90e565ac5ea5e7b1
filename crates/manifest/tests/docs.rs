//! Checks the documentation against the repository: its examples are the files that tests run, and its settings
//! are the manifest's variables.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::time::Duration;

use tirage_manifest::{ComponentId, Manifest, Target, TriggerRoute, World};

/// The page that shows how to write a step.
const STEPS: &str = "docs/steps.md";

fn file(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the code block of [`STEPS`] that follows this mark.
fn block(mark: &str) -> String {
    let page = file(STEPS);
    let begin = format!("<!-- {mark} -->\n```");
    let (_, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{STEPS} has no {mark}"));
    let (_, code) = rest.split_once('\n').unwrap();
    code.split_once("```\n").unwrap().0.to_owned()
}

#[test]
fn the_documented_step_is_the_one_that_is_tested() {
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
    assert_eq!(manifest.components[&id].options.world, World::Step);

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
fn a_file_through_the_api_has_the_time_that_it_takes_at_the_documented_speed() {
    let speed = 2_000_000;
    let limits = file("docs/limits.md");
    assert!(limits.contains("64 MiB at 2 Mbit/s"), "another speed");
    let manifest = Manifest::parse(&file("spin.toml")).unwrap();
    let api: ComponentId = "api".parse().unwrap();
    let limits = manifest.components[&api].options.limits;
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
fn every_variable_is_documented_as_a_setting() {
    let manifest = Manifest::parse(&file("spin.toml")).unwrap();
    for (document, quote) in [("docs/settings.md", "`"), (".env.example", "")] {
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

#[test]
fn settings_and_example_name_the_same_settings() {
    // Everything that looks like a setting in the first column of a table, or before `=` in the example.
    let documented: Vec<_> = file("docs/settings.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
        .flat_map(|names| names.split(", "))
        .map(|name| name.trim_matches('`').to_owned())
        .collect();
    let example = file(".env.example");
    // A placeholder, of which the example has an instance, and a second way to set `HTTP_ADDR`.
    let elsewhere = ["DATABASE_URL_<ROLE>", "PORT"];
    for name in &documented {
        assert!(
            elsewhere.contains(&name.as_str()) || example.contains(&format!("#{name}=")),
            ".env.example lacks {name}"
        );
    }
    for line in example.lines() {
        if let Some((name, _)) = line.strip_prefix('#').and_then(|line| line.split_once('='))
            && !name.contains(' ')
            && !name.starts_with("DATABASE_URL_")
        {
            assert!(
                documented.contains(&name.to_owned()),
                "docs/settings.md lacks {name}"
            );
        }
    }
}
