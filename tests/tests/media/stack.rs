//! The whole stack, on folders and ports that stay the same when a part is killed and restarted.
//!
//! The functions reach database, bucket and queue through a [`Proxy`], which can act before or after each
//! of their calls.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tirage_jobs::Secret;

use crate::proxy::{Proxy, Target};
use tirage_tests::{Process, binary, repository, unused_address};

pub(crate) const SECRET: &str = "a secret of the tests, which is long enough";
const PASSWORD: &str = "of-the-gateway";

/// A part that a test can kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Router,
    Postgres,
    ObjectStore,
    Queue,
}

/// The settings of a router.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// A second router with its own trigger. Killed when dropped.
pub(crate) struct Second {
    pub(crate) url: String,
    _router: Process,
    _trigger: Process,
}

pub(crate) struct Stack {
    folder: TempDir,
    _postgres: Process,
    objects: Mutex<Process>,
    queue: Mutex<Process>,
    _gateway: Process,
    router: Mutex<Process>,
    _trigger: Process,
    pub(crate) url: String,
    pub(crate) proxy: Proxy,
    environment: Settings,
    server: Server,
}

/// The host of the functions.
enum Server {
    /// The router.
    Router,
    /// Spin, with the path of its program.
    Spin(PathBuf),
}

impl Stack {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a stack with these settings.
    pub(crate) async fn with(settings: &[(&'static str, &str)]) -> Self {
        Self::with_manifest(settings, &[]).await
    }

    /// Starts a stack with these settings, and replaces lines of the manifest.
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

    /// Starts a stack with the settings that `adapt` changes.
    pub(crate) async fn adapted(adapt: impl FnOnce(&mut Settings), lines: &[(&str, &str)]) -> Self {
        Self::served_by(Server::Router, adapt, lines).await
    }

    /// Starts a stack with Spin in place of the router. Functions call the object store without the proxy,
    /// which would change their requests.
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
        let postgres = Process::start(
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
        let gateway = Process::start(
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
        let gateway_url = gateway.url().to_owned();
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
            // Seconds instead of minutes.
            ("SEND_AFTER_SECONDS", "1".to_owned()),
            ("RESEND_AFTER_SECONDS", "4".to_owned()),
            ("UPLOAD_GRACE_SECONDS", "1".to_owned()),
            ("CLEANUP_AFTER_SECONDS", "1".to_owned()),
            // High, since these tests kill the router often.
            ("TASK_MAX_CLAIMS", "50".to_owned()),
            ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
        ];
        environment.extend(database);
        adapt(&mut environment);
        let (router, url) = server.start(folder.path(), &environment);
        // The router keeps its address when it is restarted.
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

    /// Returns the router's address.
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

    /// Starts a second router, with these additional settings, and a trigger that calls it.
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
            // The devstack restarts it.
            Victim::Postgres => kill_process(self.postmaster(), Signal::KILL).unwrap(),
        }
    }

    /// Restarts a killed part.
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

    /// Runs the sweep, as the schedule does.
    pub(crate) async fn sweep(&self) -> Option<serde_json::Value> {
        sweep(&self.url).await
    }

    fn postmaster(&self) -> Pid {
        let file = find_file(self.folder.path().join("postgres"), "postmaster.pid").unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
    }
}

/// Runs the sweep of the router at `url`, as the schedule does.
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

fn start_objects(folder: &Path) -> Process {
    Process::start(
        Command::new(binary("tirage-devstack"))
            .arg("s3")
            .arg("--data")
            .arg(folder),
    )
}

fn start_queue(folder: &Path) -> Process {
    Process::start(
        Command::new(binary("tirage-devstack"))
            .arg("queue")
            .arg("--data")
            .arg(folder)
            .args(["--visibility-seconds", "3", "--max-receives", "100"]),
    )
}

fn start_trigger(queue: &Process, application: &str) -> Process {
    Process::start(
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

/// Writes the repository's manifest with replaced lines, and links the files that it needs.
fn write_manifest(folder: &Path, lines: &[(&str, &str)]) {
    let mut manifest = std::fs::read_to_string(repository().join("spin.toml")).unwrap();
    for (line, other) in lines {
        assert_eq!(manifest.matches(line).count(), 1, "{line}");
        manifest = manifest.replace(line, other);
    }
    std::fs::write(folder.join("spin.toml"), manifest).unwrap();
    // Links, since copies would look newer than their precompiled forms.
    let build = repository().join("build").canonicalize().unwrap();
    std::os::unix::fs::symlink(build, folder.join("build")).unwrap();
    let migrations = repository().join("migrations").canonicalize().unwrap();
    std::os::unix::fs::symlink(migrations, folder.join("migrations")).unwrap();
    // An empty web app.
    std::fs::create_dir_all(folder.join("frontend/dist")).unwrap();
    std::fs::write(folder.join("frontend/dist/index.html"), "").unwrap();
}

impl Server {
    /// Starts the host and returns its URL.
    fn start(&self, folder: &Path, environment: &Settings) -> (Process, String) {
        let manifest = folder.join("spin.toml");
        match self {
            Self::Router => {
                let mut command = Command::new(binary("tirage"));
                command
                    .args(["serve", "--exit-with-stdin", "--manifest"])
                    .arg(manifest)
                    .env_clear()
                    .envs(environment.iter().map(|(name, value)| (name, value)));
                let process = Process::start(&mut command);
                let url = process.url().to_owned();
                (process, url)
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
                let process = Process::start_group(&mut command);
                (process, format!("http://{address}"))
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

/// Returns the path of a file of this name below a folder.
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
