//! What goes wrong: each gets its own error, and the next request is served as if nothing had been.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use tirage_host::CallError;

use crate::harness::{ask, error, get, guest, positive, post, start};

#[tokio::test]
async fn a_trap_fails_its_request_and_no_other() {
    let host = start([guest("trap"), guest("hello")]);
    for _ in 0..3 {
        let failure = error(host.call("trap", get("/")).await);
        assert!(matches!(failure, CallError::Trapped), "{failure:?}");
        assert!(!ask(&host, "hello", "/").await.is_empty());
    }
}

#[tokio::test]
async fn a_trap_after_the_head_breaks_the_body_off() {
    let host = start([guest("trap")]);
    let response = host.call("trap", get("/?after=chunk")).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "first chunk\n");
    // An end here would pass off half an answer as a whole one.
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_endless_loop_ends_at_its_deadline_and_blocks_nobody() {
    let host = start([guest("loop-forever"), guest("hello")]);
    let begin = Instant::now();
    let looping = host.call("loop-forever", get("/"));
    let others = async {
        let mut served = 0;
        while begin.elapsed() < Duration::from_millis(400) {
            assert!(!ask(&host, "hello", "/").await.is_empty());
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
    assert!(!ask(&host, "hello", "/").await.is_empty());
}

#[tokio::test]
async fn a_guest_that_only_waits_meets_the_same_deadline() {
    let host = start([guest("sleep")]);
    let failure = error(host.call("sleep", get("/?ms=60000")).await);
    assert!(
        matches!(failure, CallError::DeadlineExceeded),
        "{failure:?}"
    );
    assert!(!ask(&host, "sleep", "/?ms=1").await.is_empty());
}

#[tokio::test]
async fn a_slow_stream_lives_as_long_as_it_moves() {
    let host = start([guest("stream-slowly")]);
    let begin = Instant::now();
    // Three times the deadline in all, each pause within it.
    let body = ask(&host, "stream-slowly", "/?chunks=7&interval_ms=300").await;
    assert_eq!(body.lines().count(), 7);
    assert!(begin.elapsed() >= Duration::from_millis(1800));
}

#[tokio::test]
async fn a_stream_that_stops_moving_is_broken_off() {
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
async fn a_guest_that_eats_memory_is_told_from_one_that_traps() {
    let mut spec = guest("eat-memory");
    spec.limits.timeout = Duration::from_secs(30);
    let host = start([spec, guest("hello")]);
    for _ in 0..2 {
        let failure = error(host.call("eat-memory", get("/")).await);
        assert!(matches!(failure, CallError::OutOfMemory), "{failure:?}");
        assert!(!ask(&host, "hello", "/").await.is_empty());
    }
}

#[tokio::test]
async fn too_many_at_once_wait_and_then_are_turned_away() {
    let mut spec = guest("sleep");
    spec.limits.max_concurrency = positive(2);
    spec.limits.queue_timeout = Duration::from_millis(100);
    let host = start([spec]);
    let calls = (0..4).map(|_| host.call("sleep", get("/?ms=400")));
    let (answered, refused): (Vec<_>, Vec<_>) = futures::future::join_all(calls)
        .await
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!(answered.len(), 2);
    for call in refused {
        assert!(matches!(call, Err(CallError::TooBusy)));
    }
    drop(answered);
    assert!(!ask(&host, "sleep", "/?ms=1").await.is_empty());
}

#[tokio::test]
async fn an_unread_answer_keeps_its_place_and_a_dropped_one_gives_it_back() {
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
        ask(&host, "stream-slowly", "/?chunks=1")
            .await
            .lines()
            .count(),
        1
    );
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_announced_or_not() {
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
        // Echo had begun to answer: then its answer must not end as if it were whole.
        Ok(response) => assert!(response.into_body().collect().await.is_err()),
    }
    assert_eq!(ask(&host, "echo", "/").await, "");
}

#[tokio::test]
async fn a_component_that_is_not_there_is_said_so() {
    let host = start([guest("hello")]);
    let failure = error(host.call("goodbye", get("/")).await);
    assert!(matches!(failure, CallError::NoSuchComponent(name) if name == "goodbye"));
}
