//! Migrations against a real Postgres: many at once, changed, unknown, failing, killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tirage_devstack::postgres::Cluster;
use tirage_migrations::{MigrateError, Migration, apply, migrate};
use tirage_postgres::{Config, Connection, role_config};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start_temporary().unwrap());

/// An empty database of the owner's.
async fn database() -> Config {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("migrate_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let owner: Config = CLUSTER.admin_url().parse().unwrap();
    let mut connection = Connection::connect(&owner).await.unwrap();
    connection
        .batch_execute(&format!("create database {name}"))
        .await
        .unwrap();
    owner.with_database(name)
}

async fn ask(config: &Config, query: &str) -> Option<String> {
    let mut connection = Connection::connect(config).await.unwrap();
    let outcome = connection.execute(query, &[]).await.unwrap();
    outcome.rows[0].text(0).map(str::to_owned)
}

/// Asks until the answer is one.
async fn until_one(config: &Config, query: &str) {
    let until = async {
        while ask(config, query).await.unwrap() != "1" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), until)
        .await
        .unwrap();
}

fn two() -> Vec<Migration> {
    vec![
        Migration::new(
            1,
            "0001_first",
            "create table first (id int); insert into first values (1)",
        ),
        Migration::new(2, "0002_second", "create table second (id int)"),
    ]
}

#[tokio::test]
async fn eight_at_once_apply_each_migration_once() {
    let database = database().await;
    let all = (0..8).map(|_| apply(&database, two(), &[]));
    let reports = futures::future::join_all(all).await;
    let applied: usize = reports
        .into_iter()
        .map(|report| report.unwrap().applied.len())
        .sum();
    assert_eq!(applied, 2);
    assert_eq!(
        ask(&database, "select count(*) from first").await.unwrap(),
        "1"
    );
}

#[tokio::test]
async fn what_is_new_is_applied_and_nothing_twice() {
    let database = database().await;
    let first = vec![two().remove(0)];
    assert_eq!(
        apply(&database, first, &[]).await.unwrap().applied,
        ["0001_first"]
    );
    assert_eq!(
        apply(&database, two(), &[]).await.unwrap().applied,
        ["0002_second"]
    );
    let report = apply(&database, two(), &[]).await.unwrap();
    assert_eq!(report.to_string(), "the database is up to date");
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let database = database().await;
    apply(&database, two(), &[]).await.unwrap();
    let mut changed = two();
    changed[0] = Migration::new(1, "0001_first", "create table other (id int)");
    let error = apply(&database, changed, &[]).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::Changed { name } if name == "0001_first"),
        "{error}"
    );
}

#[tokio::test]
async fn a_database_that_is_ahead_of_the_program_is_refused() {
    let database = database().await;
    apply(&database, two(), &[]).await.unwrap();
    let older = vec![two().remove(0)];
    let error = apply(&database, older, &[]).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::Unknown { name } if name == "0002_second"),
        "{error}"
    );
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_and_what_came_before_stays() {
    let database = database().await;
    let mut failing = two();
    failing[1] = Migration::new(2, "0002_second", "create table second (id int); select 1/0");
    let error = apply(&database, failing, &[]).await.unwrap_err();
    assert!(
        matches!(
            &error,
            MigrateError::Failed {
                name: "0002_second",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(ask(&database, "select to_regclass('second')").await, None);
    assert_eq!(
        ask(&database, "select max(number) from tirage_migration")
            .await
            .unwrap(),
        "1"
    );
    assert_eq!(
        apply(&database, two(), &[]).await.unwrap().applied,
        ["0002_second"]
    );
}

#[tokio::test]
async fn a_migration_that_is_killed_in_the_middle_leaves_nothing() {
    let database = database().await;
    let mut slow = two();
    slow[1] = Migration::new(
        2,
        "0002_second",
        "create table second (id int); select pg_sleep(60)",
    );
    let running = tokio::spawn({
        let database = database.clone();
        async move { apply(&database, slow, &[]).await }
    });
    let others = "from pg_stat_activity \
        where datname = current_database() and pid <> pg_backend_pid()";
    until_one(
        &database,
        &format!("select count(*) {others} and query like '%pg_sleep(60)'"),
    )
    .await;
    // Somebody else waits for the lock meanwhile, and takes over.
    let next = tokio::spawn({
        let database = database.clone();
        async move { apply(&database, two(), &[]).await }
    });
    until_one(
        &database,
        &format!("select count(*) {others} and wait_event_type = 'Lock'"),
    )
    .await;
    let killed =
        format!("select count(pg_terminate_backend(pid)) {others} and query like '%pg_sleep(60)'");
    assert_eq!(ask(&database, &killed).await.unwrap(), "1");
    assert!(running.await.unwrap().is_err());
    let report = next.await.unwrap().unwrap();
    assert_eq!(report.applied, ["0002_second"]);
    assert_eq!(
        ask(&database, "select to_regclass('second')::text")
            .await
            .unwrap(),
        "second"
    );
}

#[tokio::test]
async fn the_real_ones_apply_and_their_role_sees_its_own_workspace_only() {
    let owner = database().await;
    let base: Config = CLUSTER.url().parse().unwrap();
    let role = role_config(&base, "tirage_api").with_database(owner.database());
    let report = migrate(&owner, std::slice::from_ref(&role)).await.unwrap();
    assert_eq!(
        report.applied,
        ["0001_descriptions", "0002_media", "0003_indexes_and_rights"]
    );
    assert_eq!(
        migrate(&owner, std::slice::from_ref(&role))
            .await
            .unwrap()
            .roles,
        [""; 0]
    );

    let mut session = Connection::connect(&role).await.unwrap();
    let workspace = "00000000-0000-7000-8000-000000000001";
    let insert =
        format!("insert into description (workspace_id, text) values ('{workspace}', 'x')");
    let denied = session.execute(&insert, &[]).await.unwrap_err();
    assert_eq!(denied.server().unwrap().code, "42501");

    let set = format!("begin; set local tirage.workspace = '{workspace}'; {insert}; commit");
    session.batch_execute(&set).await.unwrap();
    let count = async |session: &mut Connection| {
        let rows = session
            .execute("select count(*) from description", &[])
            .await
            .unwrap()
            .rows;
        rows[0].text(0).unwrap().to_owned()
    };
    assert_eq!(count(&mut session).await, "0");
    session.batch_execute("begin").await.unwrap();
    session
        .batch_execute(&format!("set local tirage.workspace = '{workspace}'"))
        .await
        .unwrap();
    assert_eq!(count(&mut session).await, "1");
    session.batch_execute("commit").await.unwrap();

    for forbidden in [
        "delete from description",
        "update description set text = 'y'",
        "create table mine (id int)",
        "insert into workspace values (gen_random_uuid())",
        "select * from tirage_migration",
        "alter table description no force row level security",
        "set role tirage_owner",
    ] {
        let error = session.execute(forbidden, &[]).await.unwrap_err();
        assert_eq!(error.server().unwrap().code, "42501", "{forbidden}");
    }
    // Without a workspace a row has no place.
    let mut admin = Connection::connect(&owner).await.unwrap();
    let error = admin
        .execute(
            "insert into description (workspace_id, text) values (null, 'x')",
            &[],
        )
        .await
        .unwrap_err();
    assert!(
        ["23502", "42501"].contains(&error.server().unwrap().code.as_str()),
        "{error}"
    );
}

#[tokio::test]
async fn a_worker_sees_its_own_task_only_whatever_workspace_it_names() {
    let owner = database().await;
    let base: Config = CLUSTER.url().parse().unwrap();
    let role = |name| role_config(&base, name).with_database(owner.database());
    let [api, worker] = [role("tirage_api"), role("tirage_worker")];
    migrate(&owner, &[api.clone(), worker.clone()])
        .await
        .unwrap();
    let workspace = "00000000-0000-7000-8000-000000000001";
    let id = "01990000-0000-7000-8000-000000000001";
    let stored = format!(
        "begin; set local tirage.workspace = '{workspace}'; \
         insert into media (id, workspace_id, state, kind, content_type, filename, size_bytes, \
           upload_expires_at) values ('{id}', '{workspace}', 'processing', 'photo', 'a/b', 'c', 1, now()); \
         insert into task (id, workspace_id, media_id, kind) \
           values ('{id}', '{workspace}', '{id}', 'photo'); commit"
    );
    let mut session = Connection::connect(&api).await.unwrap();
    session.batch_execute(&stored).await.unwrap();

    let mut session = Connection::connect(&worker).await.unwrap();
    for (scope, id, expected) in [("workspace", workspace, "0"), ("task", id, "1")] {
        let set = format!("set tirage.{scope} = '{id}'");
        session.batch_execute(&set).await.unwrap();
        for table in ["media", "task"] {
            let count = format!("select count(*) from {table}");
            let outcome = session.execute(&count, &[]).await.unwrap();
            assert_eq!(outcome.rows[0].text(0), Some(expected), "{scope}: {table}");
        }
    }
    for forbidden in [
        "update media set kind = 'other'",
        "update task set sent_at = now()",
        "update task set attempt = 2",
        "select * from change",
    ] {
        let error = session.execute(forbidden, &[]).await.unwrap_err();
        assert_eq!(error.server().unwrap().code, "42501", "{forbidden}");
    }
    let claim = "update task set state = 'running', leased_until = now() returning lease";
    assert_eq!(session.execute(claim, &[]).await.unwrap().rows.len(), 1);
}

/// As the role that lists, since row security may keep a condition from an index.
#[tokio::test]
async fn what_media_are_listed_by_is_in_an_index() {
    let owner = database().await;
    let base: Config = CLUSTER.url().parse().unwrap();
    let role = role_config(&base, "tirage_api").with_database(owner.database());
    migrate(&owner, std::slice::from_ref(&role)).await.unwrap();
    let workspace = "00000000-0000-7000-8000-000000000001";
    let mut session = Connection::connect(&role).await.unwrap();
    let stored = format!(
        "set tirage.workspace = '{workspace}'; \
         insert into media (id, workspace_id, state, kind, metadata, content_type, filename, \
           size_bytes, upload_expires_at) \
         select gen_random_uuid(), '{workspace}', case when n % 1000 = 0 then 'processing' else 'ready' end, \
           case when n % 1000 = 1 then 'video' else 'photo' end, '{{}}', 'a/b', 'c', 1, now() \
         from generate_series(1, 20000) n"
    );
    session.batch_execute(&stored).await.unwrap();
    let mut admin = Connection::connect(&owner).await.unwrap();
    admin.batch_execute("analyze media").await.unwrap();
    for (condition, index) in [
        ("", "media_newest_first"),
        ("and state = 'processing'", "media_by_state"),
        ("and kind = 'video'", "media_by_kind"),
    ] {
        let explain = format!(
            "explain select id from media where workspace_id = '{workspace}' \
               and state <> 'deleting' {condition} order by id desc limit 51"
        );
        let plan = session.execute(&explain, &[]).await.unwrap().rows;
        let plan: Vec<_> = plan.iter().filter_map(|row| row.text(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && !plan.contains("Sort"), "{plan}");
    }
}

#[tokio::test]
async fn a_role_that_sees_past_row_security_is_refused() {
    let owner = database().await;
    let superuser: Config = CLUSTER.superuser_url().parse().unwrap();
    let role = superuser.with_database(owner.database());
    let error = migrate(&owner, &[role]).await.unwrap_err();
    assert!(matches!(error, MigrateError::Privileged { .. }), "{error}");
}
