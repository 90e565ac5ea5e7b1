//! Selecting a mode of a manifest and resolving its variables.

use tirage_manifest::{
    ComponentId, Grant, Manifest, ResolveError, SelectError, Selection, VariableName,
};

const MANIFEST: &str = r#"
spin_manifest_version = 2
application.name = "modes"

[variables]
database_host = { default = "http://sql.example" }
password = { required = true, secret = true }
queue = { required = true }
unused = { required = true }

[[trigger.http]]
route = "/api/..."
component = "api"

[[trigger.http]]
route = "/jobs/:kind"
component = "worker"

[[trigger.http]]
route = { private = true }
component = "photo"

[[trigger.http]]
route = "/robots.txt"
static_response = { body = "" }

[component.api]
source = "api.wasm"
variables = { dsn = "postgres://{{ password }}@db" }
allowed_outbound_hosts = ["{{ database_host }}", "http://*.spin.internal"]
tool.tirage = { world = "api", modes = ["api"] }

[component.worker]
source = "worker.wasm"
allowed_outbound_hosts = ["{{ queue }}", "http://photo.spin.internal"]
tool.tirage = { world = "worker", modes = ["worker"] }

[component.photo]
source = "photo.wasm"
tool.tirage = { world = "step", modes = ["worker"] }
"#;

fn ids<'m>(selection: &'m Selection<'_>) -> Vec<&'m str> {
    selection
        .components()
        .keys()
        .map(|id| id.as_str())
        .collect()
}

#[test]
fn a_mode_has_its_components_their_triggers_and_every_static_response() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    for (mode, components, triggers) in [
        ("all", vec!["api", "photo", "worker"], 4),
        ("api", vec!["api"], 2),
        ("worker", vec!["photo", "worker"], 3),
    ] {
        let selection = manifest.select(mode).unwrap();
        assert_eq!(ids(&selection), components, "{mode}");
        assert_eq!(selection.triggers().len(), triggers, "{mode}");
    }
}

#[test]
fn the_error_of_an_unknown_mode_lists_the_modes() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    assert_eq!(
        manifest.select("workr").unwrap_err().to_string(),
        "unknown mode `workr` (did you mean `worker`?): expected one of all, api, worker"
    );
}

#[test]
fn a_mode_needs_no_variables_of_other_modes() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    let resolve = |mode: &str, set: &[&str]| {
        let set: Vec<_> = set.iter().map(|name| (*name).to_owned()).collect();
        let lookup = move |name: &str| {
            set.contains(&name.to_owned())
                .then(|| "http://x".to_owned())
        };
        manifest.select(mode).unwrap().resolve(lookup).map(|_| ())
    };
    assert!(resolve("api", &["PASSWORD"]).is_ok());
    assert!(resolve("worker", &["SPIN_VARIABLE_QUEUE"]).is_ok());
    assert!(resolve("all", &["PASSWORD", "QUEUE"]).is_ok());
    let Err(ResolveError::Missing(missing)) = resolve("all", &[]) else {
        panic!("two are missing");
    };
    let names: Vec<_> = missing.0.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["password", "queue"]);
}

#[test]
fn variables_and_allowed_hosts_are_resolved() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    let resolved = manifest
        .select("api")
        .unwrap()
        .resolve(|name| (name == "PASSWORD").then(|| "hunter2".to_owned()))
        .unwrap();
    let api: ComponentId = "api".parse().unwrap();
    let api = &resolved[&api];
    let dsn: VariableName = "dsn".parse().unwrap();
    assert_eq!(api.variables[&dsn].reveal(), "postgres://hunter2@db");
    assert!(!format!("{resolved:?}").contains("hunter2"));

    let hosts = &api.allowed_hosts;
    assert_eq!(hosts.grant("http", "sql.example", None), Some(Grant::Named));
    assert!(hosts.allows("http", "api.spin.internal", None));
    assert!(
        !hosts.allows("http", "photo.spin.internal", None),
        "photo does not run in this mode"
    );
}

#[test]
fn a_host_that_is_invalid_because_of_the_environment_is_an_error_with_its_location() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    let selection = manifest.select("worker").unwrap();
    let error = selection
        .resolve(|_| Some("no-scheme".to_owned()))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "spin.toml:35:27: invalid allowed outbound host \"{{ queue }}\" (with its variables: \
         \"no-scheme\"): expected scheme://host[:port] (\"*://*:*\" allows every host)"
    );
    let without_queue = selection.resolve(|_| Some(String::new())).unwrap();
    let worker: ComponentId = "worker".parse().unwrap();
    assert!(
        without_queue[&worker]
            .allowed_hosts
            .allows("http", "photo.spin.internal", None)
    );
}

#[test]
fn a_component_cannot_call_one_that_does_not_run() {
    let text = MANIFEST.replace(
        r#"world = "step", modes = ["worker"]"#,
        r#"world = "step", modes = ["api"]"#,
    );
    let manifest = Manifest::parse(&text).unwrap();
    let error = manifest.select("worker").unwrap_err();
    assert!(matches!(error, SelectError::CallsOutside { .. }));
    assert_eq!(
        error.to_string(),
        "spin.toml:35:42: component `worker` calls `photo`, which does not run in mode `worker`"
    );
    assert!(manifest.select("all").is_ok());
}

#[test]
fn conflicting_and_reserved_routes_of_the_mode_are_warnings() {
    let text = MANIFEST
        .replace("/jobs/:kind", "/api/...")
        .replace("/robots.txt", "/.well-known/spin/x");
    let manifest = Manifest::parse(&text).unwrap();
    let warnings = |mode: &str| {
        let (_, warnings) = manifest.select(mode).unwrap().routes();
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let reserved = "spin.toml:24:9: the route /.well-known/spin/x never matches: the host serves paths \
                    under /.well-known/spin/ itself";
    assert_eq!(warnings("api"), [reserved]);
    assert_eq!(
        warnings("all"),
        [
            "spin.toml:12:9: the route /api/... of `api-http-trigger` never matches: \
             `worker-http-trigger` serves the same paths (spin.toml:16:9)",
            reserved,
        ]
    );
}

#[test]
fn private_triggers_have_no_route() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    let (routes, warnings) = manifest.select("all").unwrap().routes();
    assert!(warnings.is_empty());
    let routes: Vec<_> = routes.iter().map(|(route, _)| route.as_str()).collect();
    assert_eq!(routes, ["/api/...", "/jobs/:kind", "/robots.txt"]);
}
