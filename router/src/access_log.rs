//! The access log: one line for each request, in the log's format and between its other lines.
//!
//! It bypasses `tracing`, whose events cost several times as much, because every request pays for it.
//! `RUST_LOG` filters it by the target `tirage::access_log`.

use std::io::Write as _;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;

use crate::logging::{Lines, LogFormat};

/// Writes the access log.
pub(crate) struct AccessLog {
    pub(crate) lines: Lines,
    pub(crate) format: LogFormat,
}

/// An answered request.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) method: &'a Method,
    /// Path without the query, which may hold secrets.
    pub(crate) path: &'a str,
    pub(crate) status: StatusCode,
    /// Time until the response's head.
    pub(crate) duration: Duration,
    /// The component's id; empty if the router itself answered.
    pub(crate) component: &'a str,
    pub(crate) request_id: &'a str,
}

impl AccessLog {
    /// Adds a line.
    pub(crate) fn write(&self, entry: Entry<'_>) {
        if tracing::enabled!(tracing::Level::INFO) {
            let mut line = Vec::with_capacity(256);
            // Writing to memory can't fail.
            let _ = match self.format {
                LogFormat::Text => entry.write_text(&mut line, Timestamp::now()),
                LogFormat::Json => entry.write_json(&mut line, Timestamp::now()),
            };
            self.lines.add(&line);
        }
    }
}

impl Entry<'_> {
    fn write_text(self, line: &mut Vec<u8>, now: Timestamp) -> std::io::Result<()> {
        write!(line, "{now:.6}  INFO request method={} path=", self.method)?;
        serde_json::to_writer(&mut *line, self.path)?;
        write!(
            line,
            " status={} duration_ms={} component={:?} request_id={:?}",
            self.status.as_u16(),
            self.milliseconds(),
            self.component,
            self.request_id
        )?;
        line.write_all(b"\n")
    }

    fn write_json(self, line: &mut Vec<u8>, now: Timestamp) -> std::io::Result<()> {
        write!(
            line,
            r#"{{"timestamp":"{now:.6}","level":"INFO","message":"request","method":"{}","path":"#,
            self.method
        )?;
        serde_json::to_writer(&mut *line, self.path)?;
        write!(
            line,
            r#","status":{},"duration_ms":{},"component":"#,
            self.status.as_u16(),
            self.milliseconds()
        )?;
        serde_json::to_writer(&mut *line, self.component)?;
        line.write_all(br#","request_id":"#)?;
        serde_json::to_writer(&mut *line, self.request_id)?;
        line.write_all(b",\"target\":\"tirage::access_log\"}\n")
    }

    fn milliseconds(&self) -> f64 {
        self.duration.as_micros() as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry<'_> = Entry {
        method: &Method::GET,
        path: "/a\"\n",
        status: StatusCode::OK,
        duration: Duration::from_micros(1250),
        component: "hello",
        request_id: "id",
    };

    #[test]
    fn a_text_line_is_readable() {
        let mut line = Vec::new();
        ENTRY.write_text(&mut line, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "1970-01-01T00:00:00.000000Z  INFO request method=GET path=\"/a\\\"\\n\" status=200 \
             duration_ms=1.25 component=\"hello\" request_id=\"id\"\n"
        );
    }

    #[test]
    fn a_json_line_is_one_object() {
        let mut line = Vec::new();
        ENTRY.write_json(&mut line, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&line).unwrap(),
            serde_json::json!({
                "timestamp": "1970-01-01T00:00:00.000000Z", "level": "INFO", "message": "request",
                "method": "GET", "path": "/a\"\n", "status": 200, "duration_ms": 1.25,
                "component": "hello", "request_id": "id", "target": "tirage::access_log",
            })
        );
    }
}
