//! Runs a Python script that uses boto3.

use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boto3");

/// Runs a script of this folder with additional environment variables.
///
/// # Panics
/// Panics with the script's output if it fails.
pub(crate) fn run_script(name: &str, variables: &[(&str, &str)]) {
    let python = std::env::var("TIRAGE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_boto3 = Command::new(&python)
        .args(["-c", "import boto3"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(
        has_boto3.is_ok_and(|status| status.success()),
        "{python} has no boto3: run `cargo xtask test`, or set TIRAGE_PYTHON to a Python with the \
         packages in tests/requirements.txt"
    );
    let output = Command::new(&python)
        .arg(Path::new(FOLDER).join(name))
        // Excludes keys, settings and proxies of the user that runs the tests.
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_PROXY", "127.0.0.1,localhost,.localhost")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{name} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
