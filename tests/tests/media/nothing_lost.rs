//! Kills what can be killed, at every step between upload and done, and lets it recover: every media is
//! then complete or has failed for a reason that is told; there is no print without a row and no row
//! without its print, no task is done twice, and no message is left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tirage_jobs::{Kind, Message, Secret};
use tokio::time::sleep;

use crate::client::{check_prints, get, objects, settled, upload};
use crate::picture::{noise, png};
use crate::proxy::{Step, Target, Trouble, When};
use crate::stack::{SECRET, Stack, Victim};

const PRINTS: [&str; 4] = ["display", "large", "small", "thumb"];

/// The calls that functions make from an announcement to a commit: three to announce, seven to
/// complete, eight to print. Whatever comes after them is the client, asking.
const CALLS: usize = 18;

/// Kills `victim` before and after each of its calls (or all calls, without a target) in turn.
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
    // Whoever is killed comes back a little later, whatever the client does meanwhile.
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
        "nothing was killed: the walk is too long"
    );
    tokio::task::spawn_blocking(move || reviver.join().unwrap())
        .await
        .unwrap();
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    check_prints(&media, &PRINTS).await;
    assert_eq!(media["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(media["tasks"][0]["state"], "done");
    only_what_rows_point_at(stack, &id).await;
    no_message_is_left(stack).await;
    if victim == Victim::Postgres {
        // Its devstack takes a second death within five seconds for a defect.
        sleep(Duration::from_millis(5500).saturating_sub(begin.elapsed())).await;
    }
}

/// As soon as the sweep has been there.
async fn only_what_rows_point_at(stack: &Stack, id: &str) {
    let begin = Instant::now();
    loop {
        let objects = objects(stack, id).await;
        let prints: BTreeSet<_> = objects
            .iter()
            .filter_map(|object| Some(object.split_once('.')?.0))
            .collect();
        assert!(objects.contains("original"), "{objects:?}");
        assert_eq!(prints, PRINTS.into_iter().collect(), "{objects:?}");
        if objects.len() == 1 + PRINTS.len() {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{objects:?} stay"
        );
        stack.sweep().await;
        sleep(Duration::from_millis(300)).await;
    }
}

async fn no_message_is_left(stack: &Stack) {
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

/// Asks the queue itself.
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
async fn a_router_that_is_killed_at_any_step_loses_nothing() {
    walk(Victim::Router, None, 1..=CALLS).await;
}

/// Seven: a look and its first bytes, the original, and four prints.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_that_is_killed_at_any_step_loses_nothing() {
    walk(Victim::ObjectStore, Some(Target::ObjectStore), 1..=7).await;
}

/// From where there may be a message in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_killed_at_any_step_loses_nothing() {
    walk(Victim::Queue, None, 7..=CALLS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_is_killed_at_any_step_loses_nothing() {
    walk(Victim::Postgres, Some(Target::Database), 1..=10).await;
}

/// The step gets half of it, and says what it makes of that: nothing that counts.
async fn an_original_gets_through_trouble(trouble: Trouble, lines: &[(&str, &str)]) {
    let stack = Stack::with_manifest(&[], lines).await;
    stack.proxy.trouble_an_original(trouble);
    let id = upload(&stack, "trouble.png", "image/png", &noise(400, 300, 1)).await;
    let media = settled(&stack, &id).await;
    assert!(stack.proxy.has_troubled());
    assert_eq!(media["state"], "ready", "{media}");
    check_prints(&media, &PRINTS).await;
    // Somebody else took it up, and nobody had to ask.
    assert_eq!(media["tasks"][0]["attempt"], 1);
    let stored = objects(&stack, &id).await;
    assert!(stored.contains("thumb.2"), "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_is_cut_off_on_its_way_is_read_again() {
    an_original_gets_through_trouble(Trouble::Cut, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_is_missing_only_if_the_store_says_so() {
    an_original_gets_through_trouble(Trouble::Stranger, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_stalls_on_its_way_is_read_again() {
    let lines = [("\ntimeout_ms = 30_000\n", "\ntimeout_ms = 3_000\n")];
    an_original_gets_through_trouble(Trouble::Stall, &lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_given_back_before_its_message_is_noted_is_not_sent_again() {
    // The step waits for half an original, which lasts longer than the note takes.
    let stack = Stack::with_manifest(
        &[("RESEND_AFTER_SECONDS", "900")],
        &[("\ntimeout_ms = 30_000\n", "\ntimeout_ms = 3_000\n")],
    )
    .await;
    stack.proxy.trouble_an_original(Trouble::Stall);
    stack.proxy.delay_notes();
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
    assert!(stack.proxy.has_troubled());
    // Its one message came again.
    let stored = objects(&stack, &id).await;
    assert!(stored.contains("thumb.2"), "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_twice_late_or_out_of_order_change_nothing() {
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
    // Late, twice at once, and of attempts that aren't the task's.
    let answers = futures::future::join_all([1, 1, 2, 1, 9].map(&deliver)).await;
    assert_eq!(answers, [204; 5]);
    let again = get(&stack, &format!("/api/media/{id}")).await.json;
    assert_eq!(again["tasks"], media["tasks"]);
    assert_eq!(objects(&stack, &id).await, stored);
    check_prints(&again, &PRINTS).await;
    // One lease did it all.
    assert!(
        stored
            .iter()
            .all(|object| object == "original" || object.ends_with(".1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_that_comes_many_times_at_once_is_done_once() {
    // No queue to speak of: only the test delivers.
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
    assert_eq!(stored.len(), 1 + PRINTS.len(), "{stored:?}");
    check_prints(&media, &PRINTS).await;
}
