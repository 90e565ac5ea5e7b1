//! The queue. (Not `queue.py`: Python has a module of that name, which boto3 imports.)

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::python::run_script;

#[test]
fn boto3_sends_and_receives_through_the_queue() {
    let mut queue = Queue(
        Command::new(env!("CARGO_BIN_EXE_tirage-devstack"))
            .args([
                "queue",
                "--temporary",
                "--visibility-seconds=2",
                "--max-receives=2",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    let stdout = queue.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let field = |name: &str| ready[name].as_str().unwrap().to_owned();
    run_script(
        "sqs.py",
        &[
            ("QUEUE_ENDPOINT", &field("endpoint")),
            ("QUEUE_NAME", &field("queue_name")),
            ("QUEUE_URL", &field("queue_url")),
            ("AWS_DEFAULT_REGION", &field("region")),
            ("AWS_ACCESS_KEY_ID", &field("access_key_id")),
            ("AWS_SECRET_ACCESS_KEY", &field("secret_access_key")),
        ],
    );
}

struct Queue(Child);

/// Asked to end, since only then does the temporary folder go with it.
impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
