//! Data survive killed routers and a killed Postgres, and several routers start together.

use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::application::{Bundle, describe, get_json};
use tirage_tests::{binary, repository};

#[tokio::test]
async fn data_survive_a_killed_router() {
    let bundle = Bundle::new();
    let mut router = bundle.router();
    assert_eq!(describe(&router, "kept").await.status(), 200);
    router.signal(Signal::KILL);
    router.ended(std::time::Duration::from_secs(5));

    let router = bundle.router();
    let (status, latest) = get_json(&router, "/api/description/latest").await;
    assert_eq!((status, &latest["text"]), (200, &json!("kept")));
}

#[tokio::test]
async fn data_survive_a_killed_postgres() {
    let mut bundle = Bundle::new();
    let router = bundle.router();
    assert_eq!(describe(&router, "kept").await.status(), 200);
    bundle.kill_postgres();
    bundle.database.restart().unwrap();

    // The router's pool is full of dead connections.
    let (status, latest) = get_json(&router, "/api/description/latest").await;
    assert_eq!((status, &latest["text"]), (200, &json!("kept")));
    assert_eq!(describe(&router, "and more").await.status(), 200);
}

#[tokio::test]
async fn several_routers_start_on_one_empty_database() {
    let bundle = Bundle::new();
    let routers: Vec<_> = (0..4).map(|_| bundle.router()).collect();
    for router in &routers {
        assert_eq!(describe(router, "hello").await.status(), 200);
    }
    let (_, list) = get_json(&routers[0], "/api/description").await;
    assert_eq!(list.as_array().unwrap().len(), 4);
    let logs: Vec<_> = routers.iter().map(|router| router.log()).collect();
    for migration in [
        "0001_descriptions",
        "0002_media",
        "0003_indexes_and_rights",
        "0004_live_functions",
    ] {
        let line = format!("applied migration {migration}");
        let applied = logs.iter().filter(|log| log.contains(&line)).count();
        assert_eq!(applied, 1, "routers applied {migration}");
    }
}

#[test]
fn migrations_can_be_applied_by_command_repeatedly() {
    let bundle = Bundle::new();
    for _ in 0..2 {
        let output = Command::new(binary("tirage"))
            .arg("migrate")
            .arg("--manifest")
            .arg(repository().join("spin.toml"))
            .env_clear()
            .env("DATABASE_ADMIN_URL", bundle.database.admin_url())
            .env("DATABASE_URL", bundle.database.url())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
