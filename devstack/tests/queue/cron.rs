//! Cron: on time, one at a time, with its proof.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::part::{Part, command, eventually};
use crate::target::Target;

fn start(target: &str) -> Part {
    Part::start(
        command("cron")
            .args(["--target", target, "--every=1"])
            .env("JOB_SECRET", "secret"),
    )
}

#[tokio::test]
async fn it_calls_every_so_often_with_its_proof() {
    let target = Target::start(Box::new(|_| (StatusCode::OK, Duration::ZERO))).await;
    let url = target.url("/jobs/sweep");
    let cron = start(&url);
    assert_eq!(cron.ready["target"], url);
    eventually("three calls", async || target.calls().len() == 3).await;
    let calls = target.calls();
    assert!(calls[2].at - calls[0].at >= Duration::from_millis(1500));
    for call in calls {
        assert_eq!(call.method, Method::POST);
        assert_eq!(call.path, "/jobs/sweep");
        assert_eq!(call.text(), "{}");
        assert_eq!(call.headers["content-type"], "application/json");
        // printf 'v1\ncron\n/jobs/sweep' | openssl dgst -sha256 -hmac secret
        assert_eq!(
            call.headers["tirage-mac"],
            "f74095939a250db4f78b4cacf4afc2cf3b1f5eee17519840750a5209de46b93c"
        );
    }
    let (status, _, log) = cron.stop();
    assert!(status.success(), "{log}");
}

#[tokio::test]
async fn one_at_a_time_however_long_it_takes() {
    let target = Target::start(Box::new(|_| (StatusCode::OK, Duration::from_millis(2200)))).await;
    let _cron = start(&target.url("/"));
    eventually("three calls", async || target.calls().len() == 3).await;
    assert_eq!(target.most_at_once(), 1);
}

#[tokio::test]
async fn failures_are_logged_and_it_goes_on() {
    let target = Target::start(Box::new(|_| {
        (StatusCode::INTERNAL_SERVER_ERROR, Duration::ZERO)
    }))
    .await;
    let address = target.address;
    let cron = start(&target.url("/"));
    // The second comes when the first was answered.
    eventually("two calls", async || target.calls().len() == 2).await;
    drop(target);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let target = Target::start_at(address, Box::new(|_| (StatusCode::OK, Duration::ZERO))).await;
    eventually("another call", async || !target.calls().is_empty()).await;
    let (_, _, log) = cron.stop();
    assert!(log.contains("answered 500"), "{log}");
    assert!(log.contains("cannot call"), "{log}");
    assert!(!log.contains("secret"), "{log}");
}
