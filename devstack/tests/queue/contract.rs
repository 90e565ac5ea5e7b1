//! What the program that starts the queue relies on: one line on stdout, the same keys and port, a
//! graceful shutdown.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Sqs, bodies};
use crate::part::{Part, command, queue_command};

#[tokio::test]
async fn keys_and_port_survive_a_restart_and_are_private() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("new/queue");
    let first = Part::start(&mut queue_command(&data));
    let ready = first.ready.clone();
    for name in [
        "endpoint",
        "region",
        "queue_name",
        "queue_url",
        "access_key_id",
        "secret_access_key",
    ] {
        assert!(ready[name].is_string(), "{name} in {ready}");
    }
    for file in ["keys.json", "messages.redb"] {
        let mode = data.join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let (status, rest, log) = first.stop();
    assert!(status.success(), "{log}");
    assert_eq!(rest, "", "exactly one line on stdout");
    let secret = ready["secret_access_key"].as_str().unwrap();
    assert!(!log.contains(secret), "{log}");

    let second = Part::start(&mut queue_command(&data));
    assert_eq!(second.ready, ready);
}

#[tokio::test]
async fn the_flags_of_each_start_configure_the_queue() {
    let folder = TempDir::new().unwrap();
    let queue = Part::start(&mut queue_command(folder.path()));
    Sqs::of(&queue).send_message("kept").await;
    assert!(queue.stop().0.success());
    let queue = Part::start(queue_command(folder.path()).args([
        "--queue-name=others",
        "--visibility-seconds=7",
        "--max-receives=3",
    ]));
    assert_eq!(queue.ready["queue_name"], "others");
    let sqs = Sqs::of(&queue);
    let reply = sqs
        .call("GetQueueAttributes", json!({ "AttributeNames": ["All"] }))
        .await;
    let attributes = &reply.output["Attributes"];
    assert_eq!(attributes["VisibilityTimeout"], "7");
    let redrive: serde_json::Value =
        serde_json::from_str(attributes["RedrivePolicy"].as_str().unwrap()).unwrap();
    assert_eq!(redrive["maxReceiveCount"], 3);
    let reply = sqs.call("ListQueues", json!({})).await;
    let urls = reply.output["QueueUrls"].as_array().unwrap();
    assert_eq!(urls.len(), 2, "{urls:?}");
    assert_eq!(sqs.receive(0).await.len(), 0);
    assert!(queue.stop().0.success());

    let queue = Part::start(&mut queue_command(folder.path()));
    let received = Sqs::of(&queue).receive(0).await;
    assert_eq!(bodies(&received), ["kept"]);
}

#[tokio::test]
async fn signals_and_a_closed_stdin_stop_it_while_a_receive_waits() {
    for end in [Some(Signal::SIGTERM), Some(Signal::SIGINT), None] {
        let mut queue = Part::start(command("queue").arg("--temporary"));
        let sqs = Sqs::of(&queue);
        sqs.send_message("first").await;
        assert_eq!(sqs.receive(0).await.len(), 1);
        let began = Instant::now();
        let waiting = tokio::spawn(async move { sqs.receive(20).await.len() });
        tokio::time::sleep(Duration::from_millis(200)).await;
        match end {
            Some(signal) => queue.signal(signal),
            None => queue.close_stdin(),
        }
        let (status, _, log) = tokio::task::spawn_blocking(|| queue.wait()).await.unwrap();
        assert!(status.success(), "{end:?}: {log}");
        assert_eq!(
            waiting.await.unwrap(),
            0,
            "the receive is answered, not cut off"
        );
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_failed_start_logs_one_line() {
    let folder = TempDir::new().unwrap();
    let queue = Part::start(&mut queue_command(folder.path()));
    let endpoint = queue.ready["endpoint"].as_str().unwrap();
    let port = endpoint.rsplit(':').next().unwrap();
    for (arguments, expected) in [
        (
            vec!["--data", folder.path().to_str().unwrap()],
            format!("in use by process {}", queue.id()),
        ),
        (
            vec!["--temporary", "--port", port],
            format!("port {port} on 127.0.0.1 is taken by another program"),
        ),
    ] {
        let output = command("queue").args(&arguments).output().unwrap();
        assert!(!output.status.success());
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains(&expected), "{log}");
        let errors = log.lines().filter(|line| line.contains("ERROR"));
        assert_eq!(errors.count(), 1, "{log}");
        assert_eq!(output.stdout, b"");
    }
}
