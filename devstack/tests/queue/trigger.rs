//! The trigger between a real queue and a recording application.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::client::Sqs;
use crate::part::{Part, command, eventually, queue_command};
use crate::target::Target;

const IMMEDIATELY: Duration = Duration::ZERO;

fn start_queue(arguments: &[&str]) -> (Part, Sqs) {
    let queue = Part::start(command("queue").arg("--temporary").args(arguments));
    let sqs = Sqs::of(&queue);
    (queue, sqs)
}

fn start_trigger(queue: &Part, target: &str) -> Part {
    let text = |name: &str| queue.ready[name].as_str().unwrap();
    let trigger = Part::start(
        command("trigger")
            .arg("--target")
            .arg(target)
            .env("QUEUE_ENDPOINT", text("endpoint"))
            .env("QUEUE_NAME", text("queue_name"))
            .env("S3_REGION", text("region"))
            .env("SQS_ACCESS_KEY_ID", text("access_key_id"))
            .env("SQS_SECRET_ACCESS_KEY", text("secret_access_key")),
    );
    assert_eq!(trigger.ready["target"], target);
    trigger
}

#[tokio::test]
async fn the_raw_body_is_posted_and_the_message_deleted() {
    let (queue, sqs) = start_queue(&[]);
    for (status, body) in [
        (200, r#"{"task":"é\n"}"#),
        (202, "no JSON at all"),
        (204, " "),
    ] {
        let target = Target::start(Box::new(move |_| {
            (StatusCode::from_u16(status).unwrap(), IMMEDIATELY)
        }))
        .await;
        let _trigger = start_trigger(&queue, &target.url("/jobs/photo"));
        sqs.send_message(body).await;
        eventually("the message is gone", async || sqs.counts().await == (0, 0)).await;
        let calls = target.calls();
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].method, Method::POST);
        assert_eq!(calls[0].path, "/jobs/photo");
        assert_eq!(calls[0].headers["content-type"], "application/json");
        assert_eq!(calls[0].text(), body);
    }
}

#[tokio::test]
async fn at_most_ten_messages_are_in_flight() {
    let (queue, sqs) = start_queue(&[]);
    for number in 0..25 {
        sqs.send_message(&number.to_string()).await;
    }
    let target = Target::start(Box::new(|_| (StatusCode::OK, Duration::from_millis(1500)))).await;
    let _trigger = start_trigger(&queue, &target.url("/"));
    eventually("ten have come", async || target.calls().len() == 10).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sqs.counts().await, (15, 10), "none was received early");
    eventually("all are done", async || sqs.counts().await == (0, 0)).await;
    assert_eq!(target.most_concurrent(), 10);
    let mut bodies: Vec<u32> = target
        .calls()
        .iter()
        .map(|call| call.text().parse().unwrap())
        .collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..25).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_free_permit_is_used_while_others_are_busy() {
    let (queue, sqs) = start_queue(&[]);
    let target = Target::start(Box::new(|call| match call.text() {
        "slow" => (StatusCode::OK, Duration::from_secs(60)),
        _ => (StatusCode::OK, IMMEDIATELY),
    }))
    .await;
    let _trigger = start_trigger(&queue, &target.url("/"));
    for _ in 0..9 {
        sqs.send_message("slow").await;
    }
    eventually("nine are busy", async || target.calls().len() == 9).await;
    for _ in 0..5 {
        sqs.send_message("fast").await;
    }
    eventually("the others are done", async || sqs.counts().await == (0, 9)).await;
    assert_eq!(target.most_concurrent(), 10);
}

#[tokio::test]
async fn a_refused_message_is_retried_redelivered_and_finally_dead() {
    let (queue, sqs) = start_queue(&["--visibility-seconds=12", "--max-receives=2"]);
    // A redirect isn't followed. It is a failure like any other.
    let target = Target::start(Box::new(|call| match call.text() {
        "moved" => (StatusCode::TEMPORARY_REDIRECT, IMMEDIATELY),
        _ => (StatusCode::SERVICE_UNAVAILABLE, IMMEDIATELY),
    }))
    .await;
    let _trigger = start_trigger(&queue, &target.url("/"));
    sqs.send_message("busy").await;
    sqs.send_message("moved").await;
    eventually("four tries each", async || target.calls().len() == 8).await;
    let busy: Vec<_> = target
        .calls()
        .into_iter()
        .filter(|call| call.text() == "busy")
        .map(|call| call.at)
        .collect();
    for (pair, least) in busy.windows(2).zip([1, 2, 4]) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(least));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        target.calls().len(),
        8,
        "no more until the visibility timeout ends"
    );
    assert_eq!(sqs.counts().await, (0, 2));
    eventually("four tries more", async || target.calls().len() == 16).await;
    let dead = sqs.dead_letters();
    eventually("both are dead", async || dead.counts().await == (2, 0)).await;
    assert_eq!(target.calls().len(), 16);
}

#[tokio::test]
async fn a_message_that_succeeds_on_retry_is_deleted() {
    let (queue, sqs) = start_queue(&[]);
    let tries = AtomicUsize::new(0);
    let target = Target::start(Box::new(move |_| {
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::SERVICE_UNAVAILABLE, IMMEDIATELY),
            _ => (StatusCode::OK, IMMEDIATELY),
        }
    }))
    .await;
    let _trigger = start_trigger(&queue, &target.url("/"));
    sqs.send_message("a").await;
    eventually("it is done", async || sqs.counts().await == (0, 0)).await;
    assert_eq!(target.calls().len(), 2);
}

#[tokio::test]
async fn it_waits_for_the_application() {
    let (queue, sqs) = start_queue(&["--visibility-seconds=10"]);
    let address = Target::start(Box::new(|_| (StatusCode::OK, IMMEDIATELY)))
        .await
        .address;
    let _trigger = start_trigger(&queue, &format!("http://{address}/jobs/photo"));
    sqs.send_message("a").await;
    eventually("it was taken", async || sqs.counts().await == (0, 1)).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let target = Target::start_at(address, Box::new(|_| (StatusCode::OK, IMMEDIATELY))).await;
    eventually("it is done", async || sqs.counts().await == (0, 0)).await;
    assert_eq!(target.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_survives_a_restart_of_the_queue() {
    let folder = TempDir::new().unwrap();
    let start = || {
        let queue = Part::start(queue_command(folder.path()).arg("--visibility-seconds=3"));
        let sqs = Sqs::of(&queue);
        (queue, sqs)
    };
    let (queue, sqs) = start();
    let target = Target::start(Box::new(|call| match call.text() {
        "slow" => (StatusCode::OK, Duration::from_secs(2)),
        _ => (StatusCode::OK, IMMEDIATELY),
    }))
    .await;
    let trigger = start_trigger(&queue, &target.url("/"));
    sqs.send_message("slow").await;
    eventually("it came", async || target.calls().len() == 1).await;
    queue.kill_9();
    #[cfg(target_os = "linux")]
    let before = trigger.processor_ticks();
    tokio::time::sleep(Duration::from_secs(4)).await;
    #[cfg(target_os = "linux")]
    {
        let ticks = trigger.processor_ticks() - before;
        assert!(ticks < 100, "it busy-waits: {ticks} ticks in 4 s");
    }
    let (_queue, sqs) = start();
    sqs.send_message("new").await;
    eventually("both are done", async || sqs.counts().await == (0, 0)).await;
    let bodies: Vec<_> = target
        .calls()
        .iter()
        .map(|call| call.text().to_owned())
        .collect();
    assert!(bodies.contains(&"new".to_owned()), "{bodies:?}");
    let (status, _, log) = tokio::task::spawn_blocking(|| trigger.stop())
        .await
        .unwrap();
    assert!(status.success());
    assert!(log.contains("cannot receive from the queue"), "{log}");
    assert!(log.contains("the queue is reachable again"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_shutdown_finishes_posts_in_flight_and_releases_the_rest() {
    let (queue, sqs) = start_queue(&["--visibility-seconds=600"]);
    let target = Target::start(Box::new(|call| match call.text() {
        "slow" => (StatusCode::OK, Duration::from_secs(1)),
        _ => (StatusCode::SERVICE_UNAVAILABLE, IMMEDIATELY),
    }))
    .await;
    let trigger = start_trigger(&queue, &target.url("/"));
    sqs.send_message("refused").await;
    eventually("it waits for its last retry", async || {
        target.calls().len() == 3
    })
    .await;
    sqs.send_message("slow").await;
    eventually("the other came", async || target.calls().len() == 4).await;
    let began = Instant::now();
    trigger.signal(Signal::SIGTERM);
    let (status, _, log) = tokio::task::spawn_blocking(|| trigger.wait())
        .await
        .unwrap();
    assert!(status.success(), "{log}");
    assert!(began.elapsed() < Duration::from_secs(5));
    let received = sqs.receive(0).await;
    assert_eq!(received.len(), 1, "{log}");
    assert_eq!(received[0].body(), "refused");
    assert_eq!(sqs.counts().await, (0, 1), "the other was deleted");
}

#[test]
fn a_missing_key_is_named() {
    let arguments = [
        "--target=http://127.0.0.1:1/",
        "--queue-endpoint=http://127.0.0.1:1",
    ];
    let output = command("trigger")
        .args(arguments)
        .env("SQS_ACCESS_KEY_ID", "SCW")
        .env_remove("SQS_SECRET_ACCESS_KEY")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        log.contains("SQS_SECRET_ACCESS_KEY is not in the environment"),
        "{log}"
    );
}
