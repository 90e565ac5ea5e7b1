use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

/// A request: its first line, its headers in lower case, its body.
type Seen = (String, Vec<String>, Vec<u8>);

/// Sends the responses in turn, one per connection, and returns the requests.
fn serve(listener: TcpListener, responses: Vec<(u16, Value)>) -> JoinHandle<Vec<Seen>> {
    std::thread::spawn(move || {
        let respond = |(status, body): (u16, Value)| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut lines = reader.by_ref().lines().map(Result::unwrap);
            let request = lines.next().unwrap();
            let headers: Vec<_> = lines
                .take_while(|line| !line.is_empty())
                .map(|line| line.to_ascii_lowercase())
                .collect();
            let length = headers
                .iter()
                .find_map(|line| line.strip_prefix("content-length: "));
            let mut content = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut content).unwrap();
            let body = body.to_string();
            write!(
                stream,
                "HTTP/1.1 {status} \r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            (request, headers, content)
        };
        responses.into_iter().map(respond).collect()
    })
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn media(state: &str, sizes: &[u64]) -> Value {
    let variants: Vec<_> = sizes.iter().map(|size| json!({ "size": size })).collect();
    json!({ "id": "0199", "state": state, "variants": variants })
}

/// Uploads five bytes to a server that passes the health check and then sends `responses`.
fn upload(
    listener: TcpListener,
    url: &str,
    responses: Vec<(u16, Value)>,
) -> (Result<Uploaded>, Vec<Seen>) {
    let healthy = (200, json!({ "status": "ok" }));
    let server = serve(
        listener,
        std::iter::once(healthy).chain(responses).collect(),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.JPG");
    std::fs::write(&path, "bytes").unwrap();
    let uploaded = Client::connect(url)
        .unwrap()
        .upload(&path, &ProgressBar::hidden());
    (uploaded, server.join().unwrap())
}

#[test]
fn a_file_is_announced_uploaded_completed_and_polled() {
    let (listener, url) = listen();
    let presigned = json!({
        "method": "PUT",
        "url": format!("{url}/bucket/key?signature=s"),
        "headers": { "content-type": "image/jpeg", "x-amz-checksum-sha256": "c" },
        "expires_at": "2026-11-25T10:00:00Z",
    });
    let (uploaded, seen) = upload(
        listener,
        &url,
        vec![
            (
                201,
                json!({ "media": media("uploading", &[]), "upload": presigned }),
            ),
            (200, Value::Null),
            (202, media("processing", &[])),
            (503, Value::Null),
            (200, media("processing", &[])),
            (200, media("ready", &[10, 20])),
        ],
    );
    let uploaded = uploaded.unwrap();
    assert_eq!((uploaded.state.as_str(), uploaded.note), ("ready", None));
    assert_eq!(
        (uploaded.bytes, uploaded.variants, uploaded.variant_bytes),
        (5, 2, 30)
    );

    let lines: Vec<_> = seen.iter().map(|(line, ..)| line.as_str()).collect();
    assert_eq!(
        lines[1..4],
        [
            "POST /api/media HTTP/1.1",
            "PUT /bucket/key?signature=s HTTP/1.1",
            "POST /api/media/0199/complete HTTP/1.1",
        ]
    );
    assert_eq!(lines[4..], ["GET /api/media/0199 HTTP/1.1"; 3]);
    let announced: Value = serde_json::from_slice(&seen[1].2).unwrap();
    let sha256 = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";
    assert_eq!(
        announced,
        json!({ "filename": "a.JPG", "content_type": "image/jpeg", "size": 5, "sha256": sha256 })
    );
    let (_, headers, body) = &seen[2];
    assert_eq!(body, b"bytes");
    for header in [
        "content-length: 5",
        "content-type: image/jpeg",
        "x-amz-checksum-sha256: c",
    ] {
        assert_eq!(
            headers.iter().filter(|line| *line == header).count(),
            1,
            "{headers:?}"
        );
    }
}

#[test]
fn a_known_file_is_not_uploaded_again() {
    let (listener, url) = listen();
    let (uploaded, seen) = upload(
        listener,
        &url,
        vec![(200, json!({ "media": media("ready", &[7]) }))],
    );
    assert_eq!(
        uploaded.unwrap().note.as_deref(),
        Some("was uploaded before")
    );
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_failed_media_item_is_a_result_and_a_refused_upload_is_an_error() {
    let (listener, url) = listen();
    let mut failed = media("failed", &[]);
    failed["failure"] = json!({ "title": "Not an image", "detail": "The file is not an image" });
    let (uploaded, _) = upload(listener, &url, vec![(200, json!({ "media": failed }))]);
    let uploaded = uploaded.unwrap();
    assert_eq!(uploaded.state, "failed");
    assert_eq!(uploaded.note.as_deref(), Some("The file is not an image"));

    let (listener, url) = listen();
    let field = json!({ "pointer": "#/size", "detail": "A file may have at most 4 bytes" });
    let problem = json!({ "title": "Body too large", "errors": [field] });
    let (uploaded, _) = upload(listener, &url, vec![(413, problem)]);
    assert_eq!(
        uploaded.unwrap_err().to_string(),
        "A file may have at most 4 bytes"
    );
}

#[test]
fn a_wrong_url_is_reported_in_one_line() {
    let (listener, url) = listen();
    drop(listener);
    let error = Client::connect(&url).err().unwrap().to_string();
    assert!(
        error.contains("cargo xtask up") && !error.contains('\n'),
        "{error}"
    );

    let (listener, url) = listen();
    let server = serve(listener, vec![(404, Value::Null)]);
    let error = Client::connect(&url).err().unwrap().to_string();
    assert!(error.contains("is not Tirage"), "{error}");
    server.join().unwrap();
}

#[test]
fn content_types_are_guessed_by_extension() {
    for (name, expected) in [
        ("a.JPG", "image/jpeg"),
        ("a.b.webp", "image/webp"),
        ("jpg", "application/octet-stream"),
        (".png", "application/octet-stream"),
    ] {
        assert_eq!(content_type(Path::new(name)), expected, "{name}");
    }
}
