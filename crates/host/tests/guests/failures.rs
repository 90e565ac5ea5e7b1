//! Failing calls: each failure has its own error and doesn't affect later requests.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use tirage_host::CallError;

use crate::harness::{error, get, get_text, guest, positive, post, start};

#[tokio::test]
async fn a_trap_fails_only_its_request() {
    let host = start([guest("trap"), guest("hello")]);
    for _ in 0..3 {
        let failure = error(host.call("trap", get("/")).await);
        assert!(matches!(failure, CallError::Trapped), "{failure:?}");
        assert!(!get_text(&host, "hello", "/").await.is_empty());
    }
}

#[tokio::test]
async fn a_trap_after_the_head_aborts_the_body() {
    let host = start([guest("trap")]);
    let response = host.call("trap", get("/?after=chunk")).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "first chunk\n");
    // A clean end would make the truncated response look complete.
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_endless_loop_ends_at_its_deadline_and_blocks_no_other_request() {
    let host = start([guest("loop-forever"), guest("hello")]);
    let begin = Instant::now();
    let looping = host.call("loop-forever", get("/"));
    let others = async {
        let mut served = 0;
        while begin.elapsed() < Duration::from_millis(400) {
            assert!(!get_text(&host, "hello", "/").await.is_empty());
            served += 1;
        }
        served
    };
    let (looping, served) = tokio::join!(looping, others);
    let failure = error(looping);
    assert!(
        matches!(failure, CallError::DeadlineExceeded),
        "{failure:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(served > 5, "only {served} others were served");
    assert!(!get_text(&host, "hello", "/").await.is_empty());
}

#[tokio::test]
async fn a_waiting_guest_ends_at_its_deadline() {
    let host = start([guest("sleep")]);
    let failure = error(host.call("sleep", get("/?ms=60000")).await);
    assert!(
        matches!(failure, CallError::DeadlineExceeded),
        "{failure:?}"
    );
    assert!(!get_text(&host, "sleep", "/?ms=1").await.is_empty());
}

#[tokio::test]
async fn a_slow_stream_with_short_pauses_continues_beyond_the_deadline() {
    let host = start([guest("stream-slowly")]);
    let begin = Instant::now();
    // Three deadlines in total, each pause shorter than one.
    let body = get_text(&host, "stream-slowly", "/?chunks=7&interval_ms=300").await;
    assert_eq!(body.lines().count(), 7);
    assert!(begin.elapsed() >= Duration::from_millis(1800));
}

#[tokio::test]
async fn a_stream_that_stalls_is_aborted() {
    let host = start([guest("stream-slowly")]);
    let response = host
        .call("stream-slowly", get("/?chunks=2&interval_ms=60000"))
        .await
        .unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let begin = Instant::now();
    assert!(body.frame().await.unwrap().is_err());
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_guest_that_exceeds_its_memory_has_its_own_error() {
    let mut spec = guest("eat-memory");
    spec.limits.timeout = Duration::from_secs(30);
    let host = start([spec, guest("hello")]);
    for _ in 0..2 {
        let failure = error(host.call("eat-memory", get("/")).await);
        assert!(matches!(failure, CallError::OutOfMemory), "{failure:?}");
        assert!(!get_text(&host, "hello", "/").await.is_empty());
    }
}

#[tokio::test]
async fn requests_beyond_the_concurrency_limit_wait_and_then_fail() {
    let mut spec = guest("sleep");
    spec.limits.max_concurrency = positive(2);
    spec.limits.queue_timeout = Duration::from_millis(100);
    let host = start([spec]);
    let calls = (0..4).map(|_| host.call("sleep", get("/?ms=400")));
    let (served, refused): (Vec<_>, Vec<_>) = futures::future::join_all(calls)
        .await
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!(served.len(), 2);
    for call in refused {
        assert!(matches!(call, Err(CallError::TooBusy)));
    }
    drop(served);
    assert!(!get_text(&host, "sleep", "/?ms=1").await.is_empty());
}

#[tokio::test]
async fn an_unread_response_holds_its_permit_and_a_dropped_one_releases_it() {
    let mut spec = guest("stream-slowly");
    spec.limits.max_concurrency = positive(1);
    spec.limits.queue_timeout = Duration::from_millis(50);
    let host = start([spec]);
    let response = host
        .call("stream-slowly", get("/?chunks=100&interval_ms=100"))
        .await
        .unwrap();
    let failure = error(host.call("stream-slowly", get("/?chunks=1")).await);
    assert!(matches!(failure, CallError::TooBusy), "{failure:?}");
    drop(response);
    assert_eq!(
        get_text(&host, "stream-slowly", "/?chunks=1")
            .await
            .lines()
            .count(),
        1
    );
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_with_and_without_content_length() {
    let host = start([guest("echo")]);
    let announced = post("/", vec![0; (1 << 20) + 1]);
    let failure = error(host.call("echo", announced).await);
    assert!(matches!(
        failure,
        CallError::BodyTooLarge { limit: 1_048_576 }
    ));

    let chunks = futures::stream::iter((0..32).map(|_| {
        Ok::<_, tirage_host::BodyError>(http_body::Frame::data(bytes::Bytes::from(vec![
            0;
            64 << 10
        ])))
    }));
    let unannounced = http::Request::post("http://tests/")
        .body(http_body_util::StreamBody::new(chunks).boxed_unsync())
        .unwrap();
    match host.call("echo", unannounced).await {
        Err(failure) => assert!(matches!(failure, CallError::BodyTooLarge { .. })),
        // The guest had already sent the head: then the body must end with an error.
        Ok(response) => assert!(response.into_body().collect().await.is_err()),
    }
    assert_eq!(get_text(&host, "echo", "/").await, "");
}

#[tokio::test]
async fn an_unknown_component_is_an_error() {
    let host = start([guest("hello")]);
    let failure = error(host.call("goodbye", get("/")).await);
    assert!(matches!(failure, CallError::NoSuchComponent(name) if name == "goodbye"));
}
