//! Two routers, each with its own worker and trigger, on one queue and one database.

use std::collections::BTreeSet;

use serde_json::Value;
use tirage_tests::unused_address;

use crate::client::{DEFAULT_VARIANTS, check_variants, objects, settled, upload};
use crate::picture::png;
use crate::stack::Stack;

const PHOTOS: u64 = 24;

#[tokio::test(flavor = "multi_thread")]
async fn two_routers_share_the_work_and_do_each_task_once() {
    let [one, other] = [unused_address(), unused_address()];
    let stack = Stack::with(&[("METRICS_ADDR", &one)]).await;
    let _second = stack.start_second(&[("METRICS_ADDR", other.clone())]);
    stack.proxy.duplicate_messages();

    let uploads = (0..PHOTOS).map(async |seed| {
        let bytes = png(400, 300, seed);
        upload(&stack, &format!("{seed}.png"), "image/png", &bytes).await
    });
    let ids = futures::future::join_all(uploads).await;
    for id in &ids {
        let media = settled(&stack, id).await;
        assert_eq!(media["state"], "ready", "{media}");
        check_variants(&media, &DEFAULT_VARIANTS).await;
        let tasks: Vec<_> = media["tasks"].as_array().unwrap().iter().collect();
        let state = |task: &&Value| (task["state"].clone(), task["attempt"].clone());
        assert_eq!(
            tasks.iter().map(state).collect::<Vec<_>>(),
            [("done".into(), 1.into())]
        );
        // All are of the first lease: no other worker claimed the task.
        let expected: BTreeSet<_> = DEFAULT_VARIANTS
            .iter()
            .map(|name| format!("{name}.1"))
            .collect();
        let mut stored = objects(&stack, id).await;
        assert!(stored.remove("original"));
        assert_eq!(stored, expected);
    }

    let mut counts = Vec::new();
    for address in [one, other] {
        let url = format!("http://{address}/metrics");
        counts.push(Counts::read(
            &reqwest::get(url).await.unwrap().text().await.unwrap(),
        ));
    }
    println!("{counts:?}");
    assert!(counts.iter().all(|count| count.photos > 0), "{counts:?}");
    let photos: u64 = counts.iter().map(|count| count.photos).sum();
    assert_eq!(photos, PHOTOS, "{counts:?}");
    let messages: u64 = counts.iter().map(|count| count.messages).sum();
    assert!(messages >= 2 * PHOTOS, "{counts:?}");
}

/// Counters of a router.
#[derive(Debug)]
struct Counts {
    /// Messages that were answered with success.
    messages: u64,
    /// Processed photos: each has its own instance of the step.
    photos: u64,
}

impl Counts {
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
