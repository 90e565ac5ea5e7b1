//! Starts routers with applications of guests.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tirage_tests::{binary, repository};

/// A folder with a manifest whose components are guests.
pub(crate) struct Application {
    folder: TempDir,
    manifest: String,
}

impl Application {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            manifest: "spin_manifest_version = 2\n[application]\nname = \"guests\"\n".to_owned(),
        }
    }

    /// Adds a guest at `/<name>/...`, with `options` in its `tool.tirage` table.
    pub(crate) fn guest(self, name: &str, options: &str) -> Self {
        self.guest_with(name, "", options)
    }

    /// Adds a guest, with lines for the component's own table too.
    pub(crate) fn guest_with(self, name: &str, component: &str, options: &str) -> Self {
        self.guest_as(name, name, component, options)
    }

    /// Adds a guest as a component of another name.
    pub(crate) fn guest_as(
        mut self,
        name: &str,
        guest: &str,
        component: &str,
        options: &str,
    ) -> Self {
        let world = if options.contains("world") {
            ""
        } else {
            "world = \"api\""
        };
        write!(
            self.manifest,
            r#"
[[trigger.http]]
route = "/{name}/..."
component = "{name}"
[component.{name}]
source = "{name}.wasm"
{component}
[component.{name}.tool.tirage]
{world}
{options}
"#
        )
        .unwrap();
        for extension in ["wasm", "cwasm"] {
            let file = format!("{name}.{extension}");
            let built = repository()
                .join("build/guests")
                .join(guest)
                .with_extension(extension);
            // Links, since copies would look newer than their precompiled forms.
            std::os::unix::fs::symlink(
                built.canonicalize().expect("guests are built"),
                self.file(&file),
            )
            .unwrap();
        }
        self
    }

    pub(crate) fn toml(mut self, toml: &str) -> Self {
        self.manifest.push_str(toml);
        self
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start(&self) -> Router {
        self.start_with(&[], &[])
    }

    pub(crate) fn start_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Router {
        self.write();
        Router::start(&self.file("spin.toml"), arguments, environment)
    }

    /// Starts a router that must refuse to start, and returns its error message.
    pub(crate) fn refused(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        self.write();
        let output = command(&self.file("spin.toml"), arguments, environment)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "it should have refused");
        String::from_utf8(output.stderr).unwrap()
    }

    fn write(&self) {
        std::fs::write(self.file("spin.toml"), &self.manifest).unwrap();
    }
}

fn command(manifest: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary("tirage"));
    command
        .arg("serve")
        .arg("--manifest")
        .arg(manifest)
        .args(arguments)
        // The developer's environment must not influence tests.
        .env_clear()
        .env("HTTP_ADDR", "127.0.0.1:0")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running router. Killed when dropped.
pub(crate) struct Router {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) url: String,
    log: Arc<Mutex<String>>,
}

impl Router {
    pub(crate) fn start(manifest: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command(manifest, arguments, environment);
        if arguments.contains(&"--exit-with-stdin") {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                let mut line = String::new();
                while stderr.read_line(&mut line).is_ok_and(|read| read > 0) {
                    log.lock().unwrap().push_str(&line);
                    line.clear();
                }
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            std::thread::sleep(Duration::from_millis(100));
            panic!("the router did not start: {line}{}", log.lock().unwrap());
        };
        // Keeps the pipe open, since a closed one would make later output of the router fail.
        std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        Self {
            url: url.to_owned(),
            stdin: child.stdin.take(),
            child,
            log,
        }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Returns the log so far.
    pub(crate) fn log(&self) -> String {
        // The router flushes its log every 20 ms.
        std::thread::sleep(Duration::from_millis(200));
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits until the router exits, and panics after the time limit.
    pub(crate) fn ended(&mut self, within: Duration) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < within, "still running:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended(Duration::from_secs(10));
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // Fails if the router has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
