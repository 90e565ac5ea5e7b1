//! Reports, as JSON, everything that it can see or do with Rust's standard library. A step must find no
//! secrets.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, Read};
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};
use spin_sdk::http::Request;
use spin_sdk::http_service;

#[http_service]
async fn snoop(_request: Request) -> String {
    json!({
        "environment": env::vars().collect::<BTreeMap<_, _>>(),
        "arguments": env::args().collect::<Vec<_>>(),
        "current_directory": outcome(env::current_dir().map(|path| path.display().to_string())),
        "root_directory": outcome(names_in("/")),
        "working_directory": outcome(names_in(".")),
        "read_etc_passwd": outcome(fs::read_to_string("/etc/passwd")),
        "write_file": outcome(fs::write("/tirage-was-here", "x").map(|()| "written")),
        "write_temporary_file": outcome(fs::write("/tmp/tirage-was-here", "x").map(|()| "written")),
        "standard_input": outcome(standard_input()),
        "unix_time_ms": outcome(unix_time_ms()),
        "clock_advances": clock_advances(),
        "random": format!("{:016x}", random()),
    })
    .to_string()
}

fn outcome<T: Into<Value>>(result: io::Result<T>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value.into() }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn names_in(directory: &str) -> io::Result<Vec<String>> {
    fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn standard_input() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().take(1024).read_to_string(&mut text)?;
    Ok(text)
}

fn unix_time_ms() -> io::Result<u64> {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map(|elapsed| elapsed.as_millis() as u64)
        .map_err(io::Error::other)
}

fn clock_advances() -> bool {
    let start = Instant::now();
    (0..1_000_000).any(|_| start.elapsed().as_nanos() > 0)
}

/// Returns a number derived from the seed of a hash map, which comes from the host's random numbers.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
