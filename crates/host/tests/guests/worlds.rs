//! A component that imports more than its world grants never runs.

use tirage_host::HostError;
use tirage_manifest::World;

use crate::harness::{guest, guests, try_start};

#[tokio::test]
async fn a_refused_import_is_named_at_start() {
    for world in [World::Step, World::Site] {
        let mut spec = guest("too-much");
        spec.world = world;
        let error = try_start([spec]).err().expect("the component is refused");
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
async fn a_step_cannot_import_variables() {
    let mut spec = guest("variables");
    spec.world = World::Step;
    let error = try_start([spec])
        .err()
        .expect("the component is refused")
        .to_string();
    assert!(error.contains("spin:variables/variables@3.0.0"), "{error}");
}

#[tokio::test]
async fn components_without_extra_imports_run_as_steps() {
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
fn check_needs_no_host() {
    let file = |name: &str| guests().join(name).with_extension("wasm");
    assert!(tirage_host::check(&file("hello"), World::Step).is_ok());
    let error = tirage_host::check(&file("too-much"), World::Step).unwrap_err();
    assert!(matches!(error, HostError::World { .. }), "{error}");
    let missing = tirage_host::check(&file("nothing"), World::Step).unwrap_err();
    assert!(matches!(missing, HostError::Load { .. }), "{missing}");
}

#[tokio::test]
async fn an_invalid_component_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = guest("hello");
    spec.source = folder.path().join("text.wasm");
    std::fs::write(&spec.source, "not wasm").unwrap();
    let error = try_start([spec.clone()])
        .err()
        .expect("the component is refused")
        .to_string();
    assert!(error.contains("text.wasm"), "{error}");

    // An invalid compiled form is ignored; compiling the invalid component fails.
    std::fs::write(spec.source.with_extension("cwasm"), "not machine code").unwrap();
    assert!(try_start([spec]).is_err());
}
