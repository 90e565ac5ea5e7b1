//! Worlds: what each kind of function may import, and the check that refuses one that wants more.
//!
//! `wit/` says what a world grants; the build script makes the table from it. An import is granted
//! if the world has the same interface in a version that is compatible by semver: a component built
//! against `wasi:io/streams@0.2.3` runs where `0.2.6` is offered.

use tirage_manifest::World;

include!(concat!(env!("OUT_DIR"), "/worlds.rs"));

/// A component wants more than its world grants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("imports {import}, which world \"{}\" does not grant", world.as_str())]
pub struct WorldError {
    /// The interface that it may not import.
    pub import: String,
    /// The world it was checked against.
    pub world: World,
}

/// Checks what a component imports.
///
/// # Errors
/// The first import that `world` doesn't grant.
pub(crate) fn check_imports<'a>(
    world: World,
    imports: impl IntoIterator<Item = &'a str>,
) -> Result<(), WorldError> {
    let granted = granted(world);
    let refused = imports
        .into_iter()
        .find(|import| !granted.iter().any(|granted| compatible(granted, import)));
    match refused {
        None => Ok(()),
        Some(import) => Err(WorldError {
            import: import.to_owned(),
            world,
        }),
    }
}

/// The interfaces that a world grants.
fn granted(world: World) -> &'static [&'static str] {
    WORLDS
        .iter()
        .find(|(name, _)| *name == world.as_str())
        .map_or(&[], |(_, imports)| imports)
}

/// Whether an offer of interface `granted` serves a component that was built against `wanted`.
fn compatible(granted: &str, wanted: &str) -> bool {
    match (granted.split_once('@'), wanted.split_once('@')) {
        (Some((granted, offered)), Some((wanted, version))) => {
            granted == wanted && compatibility_track(offered) == compatibility_track(version)
        }
        _ => granted == wanted,
    }
}

/// The part of a version that stays while it remains compatible: `1` of 1.2.3, `0.2` of 0.2.6. A
/// pre-release is compatible with itself alone (<https://semver.org>, 9 and 11).
fn compatibility_track(version: &str) -> &str {
    if version.contains('-') {
        return version;
    }
    let mut dots = version.match_indices('.').map(|(index, _)| index);
    let end = if version.starts_with("0.") {
        dots.nth(1)
    } else {
        dots.next()
    };
    &version[..end.unwrap_or(version.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [World; 4] = [World::Step, World::Site, World::Api, World::Worker];

    #[test]
    fn every_world_is_in_wit() {
        for world in ALL {
            assert!(!granted(world).is_empty(), "{world:?} grants nothing");
        }
        assert_eq!(WORLDS.len(), ALL.len());
    }

    #[test]
    fn patches_are_compatible_other_tracks_are_not() {
        assert!(compatible("wasi:io/streams@0.2.6", "wasi:io/streams@0.2.0"));
        assert!(compatible("a:b/c@1.2.3", "a:b/c@1.9.0"));
        assert!(!compatible(
            "wasi:http/types@0.3.0",
            "wasi:http/types@0.2.6"
        ));
        assert!(!compatible(
            "wasi:http/types@0.3.0",
            "wasi:http/types@0.3.0-rc-2026-03-15"
        ));
        assert!(!compatible("wasi:io/streams@0.2.6", "wasi:io/poll@0.2.6"));
        assert!(!compatible("wasi:io/streams@0.2.6", "wasi:io/streams"));
    }

    #[test]
    fn a_step_may_not_reach_out_and_the_import_is_named() {
        for import in [
            "wasi:http/client@0.3.0",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:sockets/tcp@0.2.6",
            "wasi:sockets/types@0.3.0",
            "spin:variables/variables@3.0.0",
        ] {
            let error = check_imports(World::Step, ["wasi:http/types@0.3.0", import]).unwrap_err();
            assert_eq!(error.import, import);
        }
    }

    #[test]
    fn sockets_are_in_no_world() {
        for world in ALL {
            let sockets = |import: &&&str| import.starts_with("wasi:sockets");
            assert_eq!(granted(world).iter().find(sockets), None);
        }
    }
}
