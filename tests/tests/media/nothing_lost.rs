//! Kills each part at every step between upload and completion, and restarts it. Afterwards every media
//! item is complete or failed with a reason, each variant has a row and each row its variant, no task ran
//! twice, and no message is left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tirage_jobs::{Kind, Message, Secret};
use tokio::time::sleep;

use crate::client::{DEFAULT_VARIANTS, check_variants, get, objects, settled, upload};
use crate::picture::{noise, png};
use crate::proxy::{Fault, Step, Target, When};
use crate::stack::{SECRET, Stack, Victim};

/// Number of calls that functions make from the announcement to the commit: three to announce, seven to
/// complete, eight to process. Later calls are polls of the client.
const CALLS: usize = 18;

/// Kills `victim` before and after each call to `target` (`None`: to any service), one call per photo.
async fn walk(victim: Victim, target: Option<Target>, calls: std::ops::RangeInclusive<usize>) {
    let stack = Arc::new(Stack::with(&[("LEASE_SECONDS", "3")]).await);
    let mut seed = 0;
    for call in calls {
        for when in [When::Before, When::After] {
            seed += 1;
            println!("{victim:?} is killed {when:?} call {call}");
            let step = Step { target, call, when };
            scenario(&stack, victim, step, seed).await;
        }
    }
}

async fn scenario(stack: &Arc<Stack>, victim: Victim, step: Step, seed: u64) {
    let bytes = png(48, 32, seed);
    let (sender, killed) = std::sync::mpsc::channel();
    stack.proxy.plan(step, {
        let stack = Arc::clone(stack);
        move || {
            stack.kill(victim);
            let _ = sender.send(());
        }
    });
    // Restarts the part a little later, independently of the client.
    let reviver = std::thread::spawn({
        let stack = Arc::clone(stack);
        move || {
            let Ok(()) = killed.recv() else { return };
            std::thread::sleep(Duration::from_millis(200));
            stack.revive(victim);
        }
    });
    let begin = Instant::now();
    let id = upload(stack, "walk.png", "image/png", &bytes).await;
    settled(stack, &id).await;
    assert!(
        stack.proxy.has_acted(),
        "nothing was killed: there are fewer calls than expected"
    );
    tokio::task::spawn_blocking(move || reviver.join().unwrap())
        .await
        .unwrap();
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    check_variants(&media, &DEFAULT_VARIANTS).await;
    assert_eq!(media["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(media["tasks"][0]["state"], "done");
    wait_for_cleanup(stack, &id).await;
    wait_for_empty_queue(stack).await;
    if victim == Victim::Postgres {
        // The devstack gives up if Postgres dies twice within five seconds.
        sleep(Duration::from_millis(5500).saturating_sub(begin.elapsed())).await;
    }
}

/// Sweeps until only the objects of rows are left.
async fn wait_for_cleanup(stack: &Stack, id: &str) {
    let begin = Instant::now();
    loop {
        let objects = objects(stack, id).await;
        let variants: BTreeSet<_> = objects
            .iter()
            .filter_map(|object| Some(object.split_once('.')?.0))
            .collect();
        assert!(objects.contains("original"), "{objects:?}");
        assert_eq!(
            variants,
            DEFAULT_VARIANTS.into_iter().collect(),
            "{objects:?}"
        );
        if objects.len() == 1 + DEFAULT_VARIANTS.len() {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "unexpected objects stay: {objects:?}"
        );
        stack.sweep().await;
        sleep(Duration::from_millis(300)).await;
    }
}

async fn wait_for_empty_queue(stack: &Stack) {
    let begin = Instant::now();
    loop {
        let attributes = queue(
            stack,
            "GetQueueAttributes",
            |url| json!({"QueueUrl": url, "AttributeNames": ["All"]}),
        )
        .await;
        let attributes = &attributes["Attributes"];
        let count = |name: &str| attributes[name].as_str().unwrap_or("?").to_owned();
        let counts = (
            count("ApproximateNumberOfMessages"),
            count("ApproximateNumberOfMessagesNotVisible"),
        );
        if counts == ("0".to_owned(), "0".to_owned()) {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "messages stay: {counts:?}"
        );
        sleep(Duration::from_millis(200)).await;
    }
}

/// Calls the queue's API with the URL of the application's queue.
async fn queue(stack: &Stack, action: &str, body: impl FnOnce(&str) -> Value) -> Value {
    let url = call_queue(
        stack,
        "GetQueueUrl",
        json!({"QueueName": stack.setting("QUEUE_NAME")}),
    )
    .await;
    call_queue(stack, action, body(url["QueueUrl"].as_str().unwrap())).await
}

async fn call_queue(stack: &Stack, action: &str, body: Value) -> Value {
    let signer = tirage_sigv4::Signer {
        credentials: tirage_sigv4::Credentials::new(
            stack.setting("SQS_ACCESS_KEY_ID"),
            stack.setting("SQS_SECRET_ACCESS_KEY"),
        ),
        region: stack.setting("S3_REGION").to_owned(),
        service: tirage_sigv4::Service::SQS,
    };
    let endpoint = stack.proxy.url(Target::Queue);
    let body = body.to_string();
    let (mut head, ()) = http::Request::post(&endpoint)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("AmazonSQS.{action}"))
        .body(())
        .unwrap()
        .into_parts();
    let payload = tirage_sigv4::Payload::Bytes(body.as_bytes());
    signer
        .sign(&mut head, payload, jiff::Timestamp::now())
        .unwrap();
    let response = reqwest::Client::new()
        .post(&endpoint)
        .headers(head.headers)
        .body(body)
        .send()
        .await
        .unwrap();
    response.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_router_is_killed_at_any_step() {
    walk(Victim::Router, None, 1..=CALLS).await;
}

/// Seven calls: the original's metadata, its first bytes, the whole original, and four variants.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_object_store_is_killed_at_any_step() {
    walk(Victim::ObjectStore, Some(Target::ObjectStore), 1..=7).await;
}

/// Starts at the first call after which the queue can hold a message.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_queue_is_killed_at_any_step() {
    walk(Victim::Queue, None, 7..=CALLS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_postgres_is_killed_at_any_step() {
    walk(Victim::Postgres, Some(Target::Database), 1..=10).await;
}

/// Injects a fault while the step reads an original, and checks that the task is retried and succeeds.
async fn check_fault(fault: Fault, lines: &[(&str, &str)]) {
    let stack = Stack::with_manifest(&[], lines).await;
    stack.proxy.inject_fault(fault);
    let id = upload(&stack, "fault.png", "image/png", &noise(400, 300, 1)).await;
    let media = settled(&stack, &id).await;
    assert!(stack.proxy.has_injected_fault());
    assert_eq!(media["state"], "ready", "{media}");
    check_variants(&media, &DEFAULT_VARIANTS).await;
    // A second lease of the same attempt: no client had to retry.
    assert_eq!(media["tasks"][0]["attempt"], 1);
    let stored = objects(&stack, &id).await;
    assert!(stored.contains("thumb.2"), "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_read_of_an_original_is_retried() {
    check_fault(Fault::Cut, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_of_another_server_than_the_object_store_is_retried() {
    check_fault(Fault::WrongServer, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_read_of_an_original_is_retried() {
    let lines = [("\ntimeout_ms = 30_000\n", "\ntimeout_ms = 3_000\n")];
    check_fault(Fault::Stall, &lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_released_before_its_message_is_recorded_is_not_sent_again() {
    // The step stalls for longer than the delay of the record.
    let stack = Stack::with_manifest(
        &[("RESEND_AFTER_SECONDS", "900")],
        &[("\ntimeout_ms = 30_000\n", "\ntimeout_ms = 3_000\n")],
    )
    .await;
    stack.proxy.inject_fault(Fault::Stall);
    stack.proxy.delay_sent_records();
    let id = upload(&stack, "late.png", "image/png", &noise(400, 300, 2)).await;
    let begin = Instant::now();
    loop {
        let media = get(&stack, &format!("/api/media/{id}")).await.json;
        if media["state"] == "ready" {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{media}");
        let swept = stack.sweep().await.unwrap();
        assert_eq!(swept["sent"], 0, "{swept}");
        sleep(Duration::from_millis(200)).await;
    }
    assert!(stack.proxy.has_injected_fault());
    // Its only message was redelivered.
    let stored = objects(&stack, &id).await;
    assert!(stored.contains("thumb.2"), "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_late_and_unordered_messages_change_nothing() {
    let stack = Stack::start().await;
    let id = upload(&stack, "twice.png", "image/png", &png(40, 40, 1)).await;
    let media = settled(&stack, &id).await;
    let stored = objects(&stack, &id).await;
    let task = media["tasks"][0]["id"].as_str().unwrap().parse().unwrap();
    let deliver = async |attempt| {
        let message = Message {
            task,
            kind: Kind::Photo,
            attempt,
        };
        let body = message.seal(&Secret::new(SECRET).unwrap());
        let answer = reqwest::Client::new()
            .post(stack.at("/jobs/photo"))
            .body(body)
            .send()
            .await
            .unwrap();
        answer.status().as_u16()
    };
    // Late, concurrent, and of wrong attempts.
    let answers = futures::future::join_all([1, 1, 2, 1, 9].map(&deliver)).await;
    assert_eq!(answers, [204; 5]);
    let again = get(&stack, &format!("/api/media/{id}")).await.json;
    assert_eq!(again["tasks"], media["tasks"]);
    assert_eq!(objects(&stack, &id).await, stored);
    check_variants(&again, &DEFAULT_VARIANTS).await;
    // All variants are of the first lease.
    assert!(
        stored
            .iter()
            .all(|object| object == "original" || object.ends_with(".1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deliveries_of_a_message_run_the_task_once() {
    // Without the queue, only the test delivers messages.
    let stack = Arc::new(Stack::start().await);
    stack.kill(Victim::Queue);
    let id = upload(&stack, "many.png", "image/png", &png(40, 40, 2)).await;
    let media = get(&stack, &format!("/api/media/{id}")).await.json;
    let message = Message {
        task: media["tasks"][0]["id"].as_str().unwrap().parse().unwrap(),
        kind: Kind::Photo,
        attempt: 1,
    };
    let body = message.seal(&Secret::new(SECRET).unwrap());
    let deliveries = (0..8).map(|_| {
        reqwest::Client::new()
            .post(stack.at("/jobs/photo"))
            .body(body.clone())
            .send()
    });
    for answer in futures::future::join_all(deliveries).await {
        assert_eq!(answer.unwrap().status().as_u16(), 204);
    }
    let media = get(&stack, &format!("/api/media/{id}")).await.json;
    assert_eq!(media["state"], "ready", "{media}");
    let stored = objects(&stack, &id).await;
    assert_eq!(stored.len(), 1 + DEFAULT_VARIANTS.len(), "{stored:?}");
    check_variants(&media, &DEFAULT_VARIANTS).await;
}
