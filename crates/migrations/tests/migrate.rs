//! Migrations against a real Postgres: many at once, changed, unknown, failing, killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tirage_devstack::postgres::Cluster;
use tirage_migrations::{MigrateError, Migration, migrate, read};
use tirage_postgres::{Config, Connection, role_config};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start_temporary().unwrap());

/// Creates an empty database, which the returned login owns.
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

/// Repeats the query until it returns 1.
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

/// The migrations of this repository's application.
fn ours() -> Vec<Migration> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    read(Path::new(folder)).unwrap()
}

#[tokio::test]
async fn eight_processes_apply_each_migration_once() {
    let database = database().await;
    let migrations = two();
    let all = (0..8).map(|_| migrate(&database, &migrations, &[]));
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
async fn only_new_migrations_are_applied() {
    let database = database().await;
    let first = vec![two().remove(0)];
    assert_eq!(
        migrate(&database, &first, &[]).await.unwrap().applied,
        ["0001_first"]
    );
    assert_eq!(
        migrate(&database, &two(), &[]).await.unwrap().applied,
        ["0002_second"]
    );
    let report = migrate(&database, &two(), &[]).await.unwrap();
    assert_eq!(report.to_string(), "the database is up to date");
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let database = database().await;
    migrate(&database, &two(), &[]).await.unwrap();
    let mut changed = two();
    changed[0] = Migration::new(1, "0001_first", "create table other (id int)");
    let error = migrate(&database, &changed, &[]).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::Changed { name } if name == "0001_first"),
        "{error}"
    );
}

#[tokio::test]
async fn a_reworded_comment_is_no_change() {
    let database = database().await;
    migrate(&database, &two(), &[]).await.unwrap();
    let mut reworded = two();
    let sql = format!("-- Better words.\n\n{}\n", reworded[1].sql);
    reworded[1] = Migration::new(2, "0002_second", sql);
    let report = migrate(&database, &reworded, &[]).await.unwrap();
    assert_eq!(report.applied, [""; 0]);
}

#[tokio::test]
async fn a_checksum_of_the_old_scheme_is_accepted_by_name_and_rewritten() {
    let database = database().await;
    migrate(&database, &two(), &[]).await.unwrap();
    let mut owner = Connection::connect(&database).await.unwrap();
    // Of a text whose comments have been reworded since, so that it can't be computed any more.
    let old = "update tirage_migration set checksum = repeat('ab', 32) where number > 0";
    owner.batch_execute(old).await.unwrap();

    let mut renamed = two();
    renamed[1].name = "0002_other".to_owned();
    let error = migrate(&database, &renamed, &[]).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::Changed { name } if name == "0002_second"),
        "{error}"
    );

    let report = migrate(&database, &two(), &[]).await.unwrap();
    assert_eq!(report.applied, [""; 0]);
    let checksum = "select checksum from tirage_migration where number = ";
    for migration in two() {
        let recorded = ask(&database, &format!("{checksum}{}", migration.number)).await;
        assert_eq!(recorded.unwrap(), migration.checksum);
    }
    let mut changed = two();
    changed[0] = Migration::new(1, "0001_first", "create table other (id int)");
    let error = migrate(&database, &changed, &[]).await.unwrap_err();
    assert!(matches!(error, MigrateError::Changed { .. }), "{error}");
}

#[tokio::test]
async fn an_application_without_migrations_leaves_the_record_alone() {
    let database = database().await;
    migrate(&database, &two(), &[]).await.unwrap();
    let report = migrate(&database, &[], &[]).await.unwrap();
    assert_eq!(report.to_string(), "the database is up to date");
}

/// Reads the feed of one workspace through the two functions, as the API's role.
#[tokio::test]
async fn live_functions_show_the_feed_of_one_workspace_to_the_api_alone() {
    let owner = database().await;
    let base: Config = CLUSTER.url().parse().unwrap();
    let role = |name| role_config(&base, name).with_database(owner.database());
    let [api, worker] = [role("tirage_api"), role("tirage_worker")];
    migrate(&owner, &ours(), &[api.clone(), worker.clone()])
        .await
        .unwrap();
    let workspace = "00000000-0000-7000-8000-000000000001";
    let id = "01990000-0000-7000-8000-000000000001";
    let frontier =
        format!("select last || ' ' || coalesce(oldest, 0) from live_frontier('{workspace}')");
    assert_eq!(ask(&api, &frontier).await.unwrap(), "0 0");
    let stored = format!(
        "begin; set local tirage.workspace = '{workspace}'; \
         insert into media (id, workspace_id, state, kind, content_type, filename, size_bytes, \
           upload_expires_at) values ('{id}', '{workspace}', 'uploading', 'photo', 'a/b', 'c', 1, now()); \
         commit; begin; set local tirage.workspace = '{workspace}'; \
         update media set state = 'processing'; commit"
    );
    let mut session = Connection::connect(&api).await.unwrap();
    session.batch_execute(&stored).await.unwrap();

    assert_eq!(ask(&api, &frontier).await.unwrap(), "2 1");
    let changes = |workspace: &str, after, most| {
        format!(
            "select coalesce(string_agg(sequence || (data - 'at')::text, ',' order by sequence), '') \
             from (select sequence, data::jsonb as data \
               from live_changes('{workspace}', {after}, {most})) as change"
        )
    };
    let created = format!(
        "1{{\"id\": \"{id}\", \"kind\": \"media\", \"state\": \"uploading\", \"action\": \"created\"}}"
    );
    let updated = format!(
        "2{{\"id\": \"{id}\", \"kind\": \"media\", \"state\": \"processing\", \"action\": \"updated\"}}"
    );
    let both = format!("{created},{updated}");
    for (after, most, expected) in [(0, 9, &both), (0, 1, &created), (1, 9, &updated)] {
        assert_eq!(
            &ask(&api, &changes(workspace, after, most)).await.unwrap(),
            expected
        );
    }
    let other = "00000000-0000-7000-8000-000000000002";
    assert_eq!(ask(&api, &changes(other, 0, 9)).await.unwrap(), "");

    let mut session = Connection::connect(&worker).await.unwrap();
    for query in [frontier, changes(workspace, 0, 9)] {
        let error = session.execute(&query, &[]).await.unwrap_err();
        assert_eq!(error.server().unwrap().code, "42501", "{query}");
    }
}

#[tokio::test]
async fn a_database_that_is_newer_than_the_folder_is_refused() {
    let database = database().await;
    migrate(&database, &two(), &[]).await.unwrap();
    let older = vec![two().remove(0)];
    let error = migrate(&database, &older, &[]).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::Unknown { name } if name == "0002_second"),
        "{error}"
    );
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_and_earlier_ones_stay() {
    let database = database().await;
    let mut failing = two();
    failing[1] = Migration::new(2, "0002_second", "create table second (id int); select 1/0");
    let error = migrate(&database, &failing, &[]).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::Failed { name, .. } if name == "0002_second"),
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
        migrate(&database, &two(), &[]).await.unwrap().applied,
        ["0002_second"]
    );
}

#[tokio::test]
async fn a_migration_whose_process_is_killed_leaves_nothing() {
    let database = database().await;
    let mut slow = two();
    slow[1] = Migration::new(
        2,
        "0002_second",
        "create table second (id int); select pg_sleep(60)",
    );
    let running = tokio::spawn({
        let database = database.clone();
        async move { migrate(&database, &slow, &[]).await }
    });
    let others = "from pg_stat_activity \
        where datname = current_database() and pid <> pg_backend_pid()";
    until_one(
        &database,
        &format!("select count(*) {others} and query like '%pg_sleep(60)'"),
    )
    .await;
    // Another process waits for the lock meanwhile, and takes over.
    let next = tokio::spawn({
        let database = database.clone();
        async move { migrate(&database, &two(), &[]).await }
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
async fn the_migrations_of_this_repository_apply_and_bind_their_role_to_one_workspace() {
    let owner = database().await;
    let base: Config = CLUSTER.url().parse().unwrap();
    let role = role_config(&base, "tirage_api").with_database(owner.database());
    let report = migrate(&owner, &ours(), std::slice::from_ref(&role))
        .await
        .unwrap();
    assert_eq!(
        report.applied,
        [
            "0001_descriptions",
            "0002_media",
            "0003_indexes_and_rights",
            "0004_live_functions"
        ]
    );
    assert_eq!(
        migrate(&owner, &ours(), std::slice::from_ref(&role))
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
    // A row without a workspace is refused.
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
    migrate(&owner, &ours(), &[api.clone(), worker.clone()])
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

/// Explains the query as the API's role, since row-level security can keep a condition out of an index scan.
#[tokio::test]
async fn each_filter_of_the_list_uses_an_index() {
    let owner = database().await;
    let base: Config = CLUSTER.url().parse().unwrap();
    let role = role_config(&base, "tirage_api").with_database(owner.database());
    migrate(&owner, &ours(), std::slice::from_ref(&role))
        .await
        .unwrap();
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
async fn a_role_that_bypasses_row_level_security_is_refused() {
    let owner = database().await;
    let superuser: Config = CLUSTER.superuser_url().parse().unwrap();
    let role = superuser.with_database(owner.database());
    let error = migrate(&owner, &ours(), &[role]).await.unwrap_err();
    assert!(matches!(error, MigrateError::Privileged { .. }), "{error}");
}
