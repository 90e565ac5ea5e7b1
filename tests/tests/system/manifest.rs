//! The manifest and the settings of the router.

use reqwest::Client;

use crate::harness::Application;

#[test]
fn an_unknown_key_is_reported_with_its_line() {
    let message = Application::new()
        .guest("hello", "time_out_ms = 5")
        .refused(&[], &[]);
    assert!(message.contains("time_out_ms"), "{message}");
    assert!(message.contains("spin.toml:13:1:"), "{message}");
}

#[test]
fn a_component_that_imports_more_than_its_world_is_refused_at_start() {
    let message = Application::new()
        .guest("too-much", "world = \"step\"")
        .refused(&[], &[]);
    assert!(message.contains("wasi:http/client@0.3.0"), "{message}");
    assert!(message.contains("too-much"), "{message}");
    assert_eq!(
        message.matches("imports").count(),
        1,
        "reported once: {message}"
    );
}

#[test]
fn a_missing_component_is_named() {
    let message = Application::new()
        .toml(
            r#"
            [[trigger.http]]
            route = "/..."
            component = "gone"
            [component.gone]
            source = "gone.wasm"
            [component.gone.tool.tirage]
            world = "step"
            "#,
        )
        .refused(&[], &[]);
    assert!(message.contains("gone.wasm"), "{message}");
}

#[tokio::test]
async fn the_manifest_of_the_current_folder_is_the_default() {
    let mut router = std::process::Command::new(tirage_tests::binary("tirage"))
        .arg("serve")
        .env_clear()
        .env("HTTP_ADDR", "127.0.0.1:0")
        .env("DATABASE_URL", "postgres://nobody:x@127.0.0.1:9/none")
        .current_dir(tirage_tests::repository())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = router.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    router.kill().unwrap();
    router.wait().unwrap();
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
}

const NEEDS_A_KEY: &str = r#"
    [variables]
    api_key = { required = true, secret = true }
"#;

fn with_a_key() -> Application {
    Application::new()
        .guest("hello", "modes = [\"plain\"]")
        .guest_with(
            "variables",
            "variables = { key = \"{{ api_key }}\" }",
            "modes = [\"keyed\"]",
        )
        .toml(NEEDS_A_KEY)
}

#[test]
fn a_missing_required_variable_is_named() {
    let message = with_a_key().refused(&[], &[]);
    assert!(message.contains("api_key"), "{message}");
}

#[tokio::test]
async fn a_mode_runs_only_its_components_and_needs_only_their_settings() {
    let router = with_a_key().start_with(&[], &[("APP_MODE", "plain")]);
    let status = async |path: &str| {
        Client::new()
            .get(router.at(path))
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(status("/hello").await, 200);
    assert_eq!(status("/variables").await, 404);

    let message = with_a_key().refused(&[], &[("APP_MODE", "plian")]);
    assert!(message.contains("plain"), "{message}");
}

#[tokio::test]
async fn variables_come_from_the_environment_then_from_the_env_file() {
    let application = with_a_key();
    let key = async |environment: &[(&str, &str)]| {
        let router = application.start_with(&[], environment);
        let url = router.at("/variables?name=key");
        let response = Client::new().get(url).send().await.unwrap();
        response.json::<serde_json::Value>().await.unwrap()
    };
    std::fs::write(application.file(".env"), "API_KEY=from-the-file\n").unwrap();
    assert_eq!(key(&[]).await["value"], "from-the-file");
    assert_eq!(key(&[("API_KEY", "plain")]).await["value"], "plain");
    assert_eq!(
        key(&[("API_KEY", "plain"), ("SPIN_VARIABLE_API_KEY", "prefixed")]).await["value"],
        "prefixed"
    );
}

#[tokio::test]
async fn settings_that_the_application_does_not_read_are_ignored_and_not_logged() {
    let router = Application::new().guest("hello", "").start_with(
        &[],
        &[("PASETO_ACCESS_KEY", "hush"), ("REDIS_URL", "redis://hush")],
    );
    let response = reqwest::get(router.at("/hello")).await.unwrap();
    assert!(response.status().is_success());
    assert!(!router.log().contains("hush"));
    router.stop();
}

#[tokio::test]
async fn a_component_sees_only_its_files() {
    let application = Application::new().guest_with(
        "snoop",
        "files = [\"*.txt\"]\nexclude_files = [\"secret.txt\"]\nenvironment = { COLOUR = \"blue\" }",
        "",
    );
    for name in ["public.txt", "secret.txt", "other.md"] {
        std::fs::write(application.file(name), "x").unwrap();
    }
    let router = application.start();
    let seen: serde_json::Value = Client::new()
        .get(router.at("/snoop"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        seen["root_directory"]["ok"],
        serde_json::json!(["public.txt"])
    );
    assert_eq!(seen["environment"]["COLOUR"], "blue");
}
