//! Two routers, each with a worker and a trigger of its own, on one queue and one database.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::Value;

use crate::client::{check_prints, objects, settled, upload};
use crate::picture::png;
use crate::stack::Stack;

const PHOTOS: u64 = 24;
const PRINTS: [&str; 4] = ["display", "large", "small", "thumb"];

#[tokio::test(flavor = "multi_thread")]
async fn two_routers_share_the_work_and_do_none_of_it_twice() {
    let [one, other] = [free_address(), free_address()];
    let stack = Stack::with(&[("METRICS_ADDR", &one)]).await;
    let _second = stack.start_second(&[("METRICS_ADDR", other.clone())]);
    stack.proxy.double_messages();

    let uploads = (0..PHOTOS).map(async |seed| {
        let bytes = png(400, 300, seed);
        upload(&stack, &format!("{seed}.png"), "image/png", &bytes).await
    });
    let ids = futures::future::join_all(uploads).await;
    for id in &ids {
        let media = settled(&stack, id).await;
        assert_eq!(media["state"], "ready", "{media}");
        check_prints(&media, &PRINTS).await;
        let tasks: Vec<_> = media["tasks"].as_array().unwrap().iter().collect();
        let state = |task: &&Value| (task["state"].clone(), task["attempt"].clone());
        assert_eq!(
            tasks.iter().map(state).collect::<Vec<_>>(),
            [("done".into(), 1.into())]
        );
        // All under the first lease: nobody else ever began.
        let expected: BTreeSet<_> = PRINTS.iter().map(|print| format!("{print}.1")).collect();
        let mut stored = objects(&stack, id).await;
        assert!(stored.remove("original"));
        assert_eq!(stored, expected);
    }

    let mut works = Vec::new();
    for address in [one, other] {
        let url = format!("http://{address}/metrics");
        works.push(Work::read(
            &reqwest::get(url).await.unwrap().text().await.unwrap(),
        ));
    }
    println!("{works:?}");
    assert!(works.iter().all(|work| work.photos > 0), "{works:?}");
    let photos: u64 = works.iter().map(|work| work.photos).sum();
    assert_eq!(photos, PHOTOS, "{works:?}");
    let messages: u64 = works.iter().map(|work| work.messages).sum();
    assert!(messages >= 2 * PHOTOS, "{works:?}");
}

/// What a router has done.
#[derive(Debug)]
struct Work {
    /// That were answered with success.
    messages: u64,
    /// That were printed: each has an instance of the step to itself.
    photos: u64,
}

impl Work {
    fn read(metrics: &str) -> Self {
        let sum = |begin: &str| {
            let lines = metrics.lines().filter(|line| line.starts_with(begin));
            let numbers = lines.map(|line| line.rsplit_once(' ').unwrap().1);
            numbers.map(|number| number.parse::<u64>().unwrap()).sum()
        };
        Self {
            messages: sum(
                "tirage_requests_total{component=\"worker\",method=\"POST\",status=\"204\"}",
            ),
            photos: sum("tirage_instances_started_total{component=\"photo\"}"),
        }
    }
}

/// One that nobody listens at, or did a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
