//! The whole stack, on folders and ports that stay the same when a part is killed and started again.
//!
//! The functions reach database, bucket and queue through a [`Proxy`], which can act before or after any
//! of their calls.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tirage_jobs::Secret;

use crate::part::Part;
use crate::proxy::{Proxy, Target};
use tirage_tests::{binary, repository};

pub(crate) const SECRET: &str = "a secret of the tests, which is long enough";
const PASSWORD: &str = "of-the-gateway";

/// What can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Router,
    Postgres,
    ObjectStore,
    Queue,
}

/// The settings of a router.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// A second router, with a trigger of its own. Killed when dropped.
pub(crate) struct Second {
    pub(crate) url: String,
    _router: Part,
    _trigger: Part,
}

pub(crate) struct Stack {
    folder: TempDir,
    _postgres: Part,
    objects: Mutex<Part>,
    queue: Mutex<Part>,
    _gateway: Part,
    router: Mutex<Part>,
    _trigger: Part,
    pub(crate) url: String,
    pub(crate) proxy: Proxy,
    environment: Settings,
    server: Server,
}

/// What runs the functions.
enum Server {
    /// Ours.
    Router,
    /// Spin, whose program this is.
    Spin(PathBuf),
}

impl Stack {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings of the router's.
    pub(crate) async fn with(settings: &[(&'static str, &str)]) -> Self {
        Self::with_manifest(settings, &[]).await
    }

    /// With these lines of the manifest in place of those.
    pub(crate) async fn with_manifest(
        settings: &[(&'static str, &str)],
        lines: &[(&str, &str)],
    ) -> Self {
        let set_all = |environment: &mut Settings| {
            for (name, value) in settings {
                set(environment, name, value);
            }
        };
        Self::adapted(set_all, lines).await
    }

    /// With the router's settings as they are after `adapt`.
    pub(crate) async fn adapted(adapt: impl FnOnce(&mut Settings), lines: &[(&str, &str)]) -> Self {
        Self::served_by(Server::Router, adapt, lines).await
    }

    /// With this Spin in the router's place, and settings of the functions'. They meet the object store
    /// itself, since the proxy would mend what it is particular about.
    pub(crate) async fn under_spin(program: PathBuf, settings: &[(&'static str, &str)]) -> Self {
        let set_all = |environment: &mut Settings| {
            set(environment, "HTTP_ADDR", &unused_address());
            let store = find(environment, "S3_PUBLIC_ENDPOINT").unwrap().to_owned();
            set(environment, "S3_ENDPOINT", &store);
            for (name, value) in settings {
                set(environment, name, value);
            }
        };
        Self::served_by(Server::Spin(program), set_all, &[]).await
    }

    async fn served_by(
        server: Server,
        adapt: impl FnOnce(&mut Settings),
        lines: &[(&str, &str)],
    ) -> Self {
        let folder = TempDir::new().unwrap();
        write_manifest(folder.path(), lines);
        let postgres = Part::start(
            Command::new(binary("tirage-devstack"))
                .arg("postgres")
                .arg("--data")
                .arg(folder.path().join("postgres")),
        );
        let objects = start_objects(&folder.path().join("s3"));
        let queue = start_queue(&folder.path().join("queue"));
        let database = [
            ("DATABASE_URL", postgres.field("url")),
            ("DATABASE_ADMIN_URL", postgres.field("admin_url")),
        ];
        let migrated = Command::new(binary("tirage"))
            .arg("migrate")
            .current_dir(repository())
            .env_clear()
            .envs(database.clone())
            .output()
            .unwrap();
        assert!(
            migrated.status.success(),
            "{}",
            String::from_utf8_lossy(&migrated.stderr)
        );
        let gateway = Part::start(
            Command::new(binary("tirage"))
                .args([
                    "sql-gateway",
                    "--listen",
                    "127.0.0.1:0",
                    "--exit-with-stdin",
                ])
                .current_dir(repository())
                .env_clear()
                .envs(database.clone())
                .env("SQL_GATEWAY_PASSWORD", PASSWORD),
        );
        let gateway_url = listening(&gateway.line);
        let proxy = Proxy::start(
            gateway_url.clone(),
            objects.field("endpoint"),
            queue.field("endpoint"),
        )
        .await;
        let host = gateway_url.trim_start_matches("http://");
        let login = |role: &str| format!("postgres://{role}:{PASSWORD}@{host}/tirage");
        let mut environment = vec![
            ("DATABASE_HTTP_URL", proxy.url(Target::Database)),
            ("DATABASE_CONNECTION_STRING", login("tirage_api")),
            ("WORKER_DATABASE_CONNECTION_STRING", login("tirage_worker")),
            ("S3_ENDPOINT", proxy.url(Target::ObjectStore)),
            ("S3_PUBLIC_ENDPOINT", objects.field("endpoint")),
            ("S3_REGION", objects.field("region")),
            ("S3_BUCKET", objects.field("bucket")),
            ("S3_ACCESS_KEY_ID", objects.field("access_key_id")),
            ("S3_SECRET_ACCESS_KEY", objects.field("secret_access_key")),
            ("QUEUE_ENDPOINT", proxy.url(Target::Queue)),
            ("QUEUE_NAME", queue.field("queue_name")),
            ("SQS_ACCESS_KEY_ID", queue.field("access_key_id")),
            ("SQS_SECRET_ACCESS_KEY", queue.field("secret_access_key")),
            ("JOB_SECRET", SECRET.to_owned()),
            // What takes minutes elsewhere takes seconds here.
            ("SEND_AFTER_SECONDS", "1".to_owned()),
            ("RESEND_AFTER_SECONDS", "4".to_owned()),
            ("UPLOAD_GRACE_SECONDS", "1".to_owned()),
            ("CLEANUP_AFTER_SECONDS", "1".to_owned()),
            // Gives up late: what is killed here is killed often.
            ("TASK_MAX_CLAIMS", "50".to_owned()),
            ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
        ];
        environment.extend(database);
        adapt(&mut environment);
        let (router, url) = server.start(folder.path(), &environment);
        // Wherever it is started again, it is found at the same address.
        set(
            &mut environment,
            "HTTP_ADDR",
            url.trim_start_matches("http://"),
        );
        let trigger = start_trigger(&queue, &url);
        Self {
            folder,
            _postgres: postgres,
            objects: Mutex::new(objects),
            queue: Mutex::new(queue),
            _gateway: gateway,
            router: Mutex::new(router),
            _trigger: trigger,
            url,
            proxy,
            environment,
            server,
        }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The address in its URL.
    pub(crate) fn address(&self) -> &str {
        self.setting("HTTP_ADDR")
    }

    /// A setting, as the router has it.
    pub(crate) fn setting(&self, name: &str) -> &str {
        self.find_setting(name).unwrap()
    }

    pub(crate) fn find_setting(&self, name: &str) -> Option<&str> {
        find(&self.environment, name)
    }

    /// Starts another router with the same settings but these, and a trigger that calls it.
    pub(crate) fn start_second(&self, settings: &[(&'static str, String)]) -> Second {
        let mut environment = self.environment.clone();
        set(&mut environment, "HTTP_ADDR", "127.0.0.1:0");
        environment.extend_from_slice(settings);
        let (router, url) = self.server.start(self.folder.path(), &environment);
        let trigger = start_trigger(&self.queue.lock().unwrap(), &url);
        Second {
            url,
            _router: router,
            _trigger: trigger,
        }
    }

    pub(crate) fn kill(&self, victim: Victim) {
        match victim {
            Victim::Router => self.router.lock().unwrap().kill(),
            Victim::ObjectStore => self.objects.lock().unwrap().kill(),
            Victim::Queue => self.queue.lock().unwrap().kill(),
            // Its devstack starts it again.
            Victim::Postgres => kill_process(self.postmaster(), Signal::KILL).unwrap(),
        }
    }

    /// Brings back what was killed.
    pub(crate) fn revive(&self, victim: Victim) {
        match victim {
            Victim::Router => {
                let (router, _) = self.server.start(self.folder.path(), &self.environment);
                *self.router.lock().unwrap() = router;
            }
            Victim::ObjectStore => {
                *self.objects.lock().unwrap() = start_objects(&self.folder.path().join("s3"));
            }
            Victim::Queue => {
                *self.queue.lock().unwrap() = start_queue(&self.folder.path().join("queue"));
            }
            Victim::Postgres => {}
        }
    }

    /// What a schedule would do.
    pub(crate) async fn sweep(&self) -> Option<serde_json::Value> {
        sweep(&self.url).await
    }

    fn postmaster(&self) -> Pid {
        let file = find_file(self.folder.path().join("postgres"), "postmaster.pid").unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
    }
}

/// What a schedule would do at this router.
pub(crate) async fn sweep(url: &str) -> Option<serde_json::Value> {
    let mac = Secret::new(SECRET).unwrap().schedule_mac("/jobs/sweep");
    let response = reqwest::Client::new()
        .post(format!("{url}/jobs/sweep"))
        .header(tirage_jobs::SCHEDULE_HEADER, mac)
        .timeout(Duration::from_secs(30))
        .send()
        .await
        .ok()?;
    response.json().await.ok()
}

fn start_objects(folder: &Path) -> Part {
    Part::start(
        Command::new(binary("tirage-devstack"))
            .arg("s3")
            .arg("--data")
            .arg(folder),
    )
}

fn start_queue(folder: &Path) -> Part {
    Part::start(
        Command::new(binary("tirage-devstack"))
            .arg("queue")
            .arg("--data")
            .arg(folder)
            .args(["--visibility-seconds", "3", "--max-receives", "100"]),
    )
}

fn start_trigger(queue: &Part, application: &str) -> Part {
    Part::start(
        Command::new(binary("tirage-devstack"))
            .args(["trigger", "--target", &format!("{application}/jobs/photo")])
            .env_clear()
            .env("QUEUE_ENDPOINT", queue.field("endpoint"))
            .env("QUEUE_NAME", queue.field("queue_name"))
            .env("SQS_ACCESS_KEY_ID", queue.field("access_key_id"))
            .env("SQS_SECRET_ACCESS_KEY", queue.field("secret_access_key"))
            .env("S3_REGION", queue.field("region")),
    )
}

/// Ours with other lines, and what it names beside it.
fn write_manifest(folder: &Path, lines: &[(&str, &str)]) {
    let mut manifest = std::fs::read_to_string(repository().join("spin.toml")).unwrap();
    for (line, other) in lines {
        assert_eq!(manifest.matches(line).count(), 1, "{line}");
        manifest = manifest.replace(line, other);
    }
    std::fs::write(folder.join("spin.toml"), manifest).unwrap();
    // Linked, since a copy would look newer than what it was compiled from.
    let build = repository().join("build").canonicalize().unwrap();
    std::os::unix::fs::symlink(build, folder.join("build")).unwrap();
    let migrations = repository().join("migrations").canonicalize().unwrap();
    std::os::unix::fs::symlink(migrations, folder.join("migrations")).unwrap();
    // The web app, of which nothing is wanted.
    std::fs::create_dir_all(folder.join("frontend/dist")).unwrap();
    std::fs::write(folder.join("frontend/dist/index.html"), "").unwrap();
}

impl Server {
    /// Starts it; also where it listens.
    fn start(&self, folder: &Path, environment: &Settings) -> (Part, String) {
        let manifest = folder.join("spin.toml");
        match self {
            Self::Router => {
                let mut command = Command::new(binary("tirage"));
                command
                    .args(["serve", "--exit-with-stdin", "--manifest"])
                    .arg(manifest)
                    .env_clear()
                    .envs(environment.iter().map(|(name, value)| (name, value)));
                let part = Part::start(&mut command);
                let url = listening(&part.line);
                (part, url)
            }
            Self::Spin(program) => {
                let address = find(environment, "HTTP_ADDR").unwrap();
                let mut command = Command::new(program);
                command
                    .args(["up", "--listen", address, "--from"])
                    .arg(manifest)
                    .current_dir(folder)
                    .envs(
                        environment
                            .iter()
                            .map(|(name, value)| (format!("SPIN_VARIABLE_{name}"), value)),
                    );
                let part = Part::start_group(&mut command);
                (part, format!("http://{address}"))
            }
        }
    }
}

fn find<'a>(environment: &'a Settings, name: &str) -> Option<&'a str> {
    let found = environment.iter().find(|(known, _)| *known == name);
    Some(&found?.1)
}

fn set(environment: &mut Settings, name: &'static str, value: &str) {
    environment.retain(|(known, _)| *known != name);
    environment.push((name, value.to_owned()));
}

/// An address on this machine that nobody listens at just now.
fn unused_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn listening(line: &str) -> String {
    line.trim()
        .strip_prefix("listening on ")
        .unwrap()
        .to_owned()
}

/// The file of this name below the folder.
fn find_file(folder: PathBuf, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if entry.file_name() == name {
            return Some(path);
        }
        if path.is_dir()
            && let Some(found) = find_file(path, name)
        {
            return Some(found);
        }
    }
    None
}
