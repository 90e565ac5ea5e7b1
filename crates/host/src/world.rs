//! Worlds: the interfaces that each kind of component may import, and the check of a component's
//! imports.
//!
//! The build script generates the table of interfaces from `wit/`. A world grants an import if it has
//! the same interface in a semver-compatible version: a component built against
//! `wasi:io/streams@0.2.3` runs where `0.2.6` is granted.

use tirage_manifest::World;

include!(concat!(env!("OUT_DIR"), "/worlds.rs"));

/// A component imports an interface that its world doesn't grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("imports {import}, which world \"{}\" does not grant", world.as_str())]
pub struct WorldError {
    /// The interface.
    pub import: String,
    /// The world.
    pub world: World,
}

/// Checks the imports of a component.
///
/// # Errors
/// Names the first import that `world` doesn't grant.
pub(crate) fn check_imports<'a>(
    world: World,
    imports: impl IntoIterator<Item = &'a str>,
) -> Result<(), WorldError> {
    let granted = granted(world);
    let refused = imports
        .into_iter()
        .find(|import| !granted.iter().any(|granted| is_compatible(granted, import)));
    match refused {
        None => Ok(()),
        Some(import) => Err(WorldError {
            import: import.to_owned(),
            world,
        }),
    }
}

/// Returns the interfaces that a world grants.
fn granted(world: World) -> &'static [&'static str] {
    WORLDS
        .iter()
        .find(|(name, _)| *name == world.as_str())
        .map_or(&[], |(_, imports)| imports)
}

/// `true` if interface `granted` serves a component that was built against `wanted`.
fn is_compatible(granted: &str, wanted: &str) -> bool {
    match (granted.split_once('@'), wanted.split_once('@')) {
        (Some((granted, granted_version)), Some((wanted, wanted_version))) => {
            granted == wanted
                && compatibility_track(granted_version) == compatibility_track(wanted_version)
        }
        _ => granted == wanted,
    }
}

/// Returns the part of a version that all compatible versions share: `1` of 1.2.3, `0.2` of 0.2.6. A
/// pre-release is compatible only with itself (<https://semver.org>, 9 and 11).
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
    fn only_versions_of_the_same_track_are_compatible() {
        assert!(is_compatible(
            "wasi:io/streams@0.2.6",
            "wasi:io/streams@0.2.0"
        ));
        assert!(is_compatible("a:b/c@1.2.3", "a:b/c@1.9.0"));
        assert!(!is_compatible(
            "wasi:http/types@0.3.0",
            "wasi:http/types@0.2.6"
        ));
        assert!(!is_compatible(
            "wasi:http/types@0.3.0",
            "wasi:http/types@0.3.0-rc-2026-03-15"
        ));
        assert!(!is_compatible(
            "wasi:io/streams@0.2.6",
            "wasi:io/poll@0.2.6"
        ));
        assert!(!is_compatible("wasi:io/streams@0.2.6", "wasi:io/streams"));
    }

    #[test]
    fn network_imports_of_a_step_are_refused_by_name() {
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
    fn no_world_grants_sockets() {
        for world in ALL {
            let sockets = |import: &&&str| import.starts_with("wasi:sockets");
            assert_eq!(granted(world).iter().find(sockets), None);
        }
    }
}
