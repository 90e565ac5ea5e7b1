//! The S3 server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::python::run_script;

#[test]
fn boto3_reads_and_writes_the_s3_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server(
        Command::new(env!("CARGO_BIN_EXE_tirage-devstack"))
            .args(["s3", "--data"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    let stdout = server.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let field = |name: &str| ready[name].as_str().unwrap().to_owned();
    run_script(
        "s3.py",
        &[
            ("S3_ENDPOINT", &field("endpoint")),
            ("S3_BUCKET", &field("bucket")),
            ("AWS_DEFAULT_REGION", &field("region")),
            ("AWS_ACCESS_KEY_ID", &field("access_key_id")),
            ("AWS_SECRET_ACCESS_KEY", &field("secret_access_key")),
        ],
    );
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
