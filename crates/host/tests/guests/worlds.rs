//! A component that wants more than its world grants never runs.

use tirage_host::HostError;
use tirage_manifest::World;

use crate::harness::{guest, guests, try_start};

#[tokio::test]
async fn a_component_that_imports_too_much_is_refused_at_start_by_name() {
    for world in [World::Step, World::Site] {
        let mut spec = guest("too-much");
        spec.world = world;
        let error = try_start([spec]).err().expect("it is refused");
        let HostError::World { id, source } = &error else {
            panic!("refused for another reason: {error}");
        };
        assert_eq!(id, "too-much");
        assert_eq!(source.import, "wasi:http/client@0.3.0");
        assert!(error.to_string().contains(&source.import));
    }
    assert!(try_start([guest("too-much")]).is_ok());
}

#[tokio::test]
async fn variables_are_not_for_steps() {
    let mut spec = guest("variables");
    spec.world = World::Step;
    let error = try_start([spec]).err().expect("it is refused").to_string();
    assert!(error.contains("spin:variables/variables@3.0.0"), "{error}");
}

#[tokio::test]
async fn harmless_guests_fit_the_narrowest_world() {
    for name in [
        "hello",
        "echo",
        "snoop",
        "loop-forever",
        "eat-memory",
        "trap",
    ] {
        let mut spec = guest(name);
        spec.world = World::Step;
        if let Err(error) = try_start([spec]) {
            panic!("{error}");
        }
    }
}

#[test]
fn files_are_checked_without_running_or_compiling_them() {
    let file = |name: &str| guests().join(name).with_extension("wasm");
    assert!(tirage_host::check(&file("hello"), World::Step).is_ok());
    let error = tirage_host::check(&file("too-much"), World::Step).unwrap_err();
    assert!(matches!(error, HostError::World { .. }), "{error}");
    let missing = tirage_host::check(&file("nothing"), World::Step).unwrap_err();
    assert!(matches!(missing, HostError::Load { .. }), "{missing}");
}

#[tokio::test]
async fn what_is_no_component_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = guest("hello");
    spec.source = folder.path().join("text.wasm");
    std::fs::write(&spec.source, "not wasm").unwrap();
    let error = try_start([spec.clone()])
        .err()
        .expect("it is refused")
        .to_string();
    assert!(error.contains("text.wasm"), "{error}");

    // Machine code that another router made is not run but compiled again, or refused.
    std::fs::write(spec.source.with_extension("cwasm"), "not machine code").unwrap();
    assert!(try_start([spec]).is_err());
}
