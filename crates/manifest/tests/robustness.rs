//! Reading any text returns a manifest or an error with a location, and never panics.

use std::fs;

use proptest::prelude::*;
use tirage_manifest::{Error, Manifest};

fn must_not_panic(text: &str) {
    match Manifest::parse(text) {
        Ok(manifest) => {
            let selection = manifest.select("all");
            if let Ok(selection) = selection {
                let (routes, _) = selection.routes();
                let _ = routes.find("/a/b");
                let _ = selection.resolve(|name| Some(name.to_owned()));
            }
        }
        Err(Error::Invalid { location, .. }) => {
            assert!(location.line >= 1 && location.line <= text.matches('\n').count() + 1);
            assert!(location.column >= 1);
        }
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        must_not_panic(&text);
    }

    #[test]
    fn any_bytes(bytes in any::<Vec<u8>>()) {
        must_not_panic(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_manifest_with_a_random_replacement(
        start in 0_usize..3000,
        length in 0_usize..40,
        piece in "[ -~\\n]{0,12}|\\PC{0,4}",
    ) {
        let mut text = fs::read_to_string("tests/golden/maximal.toml").unwrap();
        let start = text.floor_char_boundary(start.min(text.len()));
        let end = text.ceil_char_boundary((start + length).min(text.len()));
        text.replace_range(start..end, &piece);
        must_not_panic(&text);
    }

    #[test]
    fn any_value_for_any_key(
        line in 0_usize..120,
        value in prop::sample::select(vec![
            "1", "-1", "1.5", "true", "\"\"", "\"*\"", "\"{{\"", "\"{{ x }}\"", "[]", "[[]]", "{}",
            "{ a = 1 }", "1979-05-27", "inf", "0xffffffffffffffffffffff", "\"\\u0000\"",
        ]),
    ) {
        let text = fs::read_to_string("tests/golden/maximal.toml").unwrap();
        let lines = text.lines().enumerate().map(|(number, text)| match text.split_once(" = ") {
            Some((key, _)) if number == line => format!("{key} = {value}\n"),
            _ => format!("{text}\n"),
        });
        must_not_panic(&lines.collect::<String>());
    }
}
