//! The services that the scripts use.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::python::run_script;

#[test]
fn boto3_reads_and_writes_the_bucket() {
    let server = Service::start(&["s3", "--temporary"]);
    server.run_script(
        "s3.py",
        &[("S3_BUCKET", "bucket"), ("S3_ENDPOINT", "endpoint")],
    );
}

#[test]
fn boto3_sends_and_receives_through_the_queue() {
    let queue = Service::start(&[
        "queue",
        "--temporary",
        "--visibility-seconds=2",
        "--max-receives=2",
    ]);
    queue.run_script(
        "sqs.py",
        &[
            ("QUEUE_ENDPOINT", "endpoint"),
            ("QUEUE_NAME", "queue_name"),
            ("QUEUE_URL", "queue_url"),
        ],
    );
}

/// A running service.
struct Service {
    child: Child,
    ready: Value,
}

impl Service {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tirage-devstack"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Self { child, ready }
    }

    /// Runs a script with region, keys, and these variables from these fields of the service's line.
    fn run_script(&self, name: &str, variables: &[(&str, &str)]) {
        let common = [
            ("AWS_DEFAULT_REGION", "region"),
            ("AWS_ACCESS_KEY_ID", "access_key_id"),
            ("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
        ];
        let variables: Vec<_> = variables
            .iter()
            .chain(&common)
            .map(|(variable, field)| (*variable, self.ready[field].as_str().unwrap()))
            .collect();
        run_script(name, &variables);
    }
}

/// Stops the service, which removes its temporary folder.
impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
