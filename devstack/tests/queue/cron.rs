//! Cron: interval, concurrency, authentication.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::part::{Part, command, eventually};
use crate::target::Target;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn start(target: &str) -> Part {
    Part::start(
        command("cron")
            .args(["--target", target, "--every=1"])
            .env("JOB_SECRET", SECRET),
    )
}

#[tokio::test]
async fn it_calls_at_the_interval_with_its_mac() {
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
        // printf 'v1\ncron\n/jobs/sweep' | openssl dgst -sha256 -hmac $SECRET
        assert_eq!(
            call.headers["tirage-mac"],
            "4727b3b6079eed5ababf0036e36039a85c586ea1b81c874336b4d31f4b0dcf09"
        );
    }
    let (status, _, log) = cron.stop();
    assert!(status.success(), "{log}");
}

#[tokio::test]
async fn calls_never_overlap() {
    let target = Target::start(Box::new(|_| (StatusCode::OK, Duration::from_millis(2200)))).await;
    let _cron = start(&target.url("/"));
    eventually("three calls", async || target.calls().len() == 3).await;
    assert_eq!(target.most_concurrent(), 1);
}

#[tokio::test]
async fn failures_are_logged_and_calls_continue() {
    let target = Target::start(Box::new(|_| {
        (StatusCode::INTERNAL_SERVER_ERROR, Duration::ZERO)
    }))
    .await;
    let address = target.address;
    let cron = start(&target.url("/"));
    // The second call comes after the first response.
    eventually("two calls", async || target.calls().len() == 2).await;
    drop(target);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let target = Target::start_at(address, Box::new(|_| (StatusCode::OK, Duration::ZERO))).await;
    eventually("another call", async || !target.calls().is_empty()).await;
    let (_, _, log) = cron.stop();
    assert!(log.contains("answered 500"), "{log}");
    assert!(log.contains("cannot call"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}
