//! A photo goes through with each way of saying where the bucket is and who may use it.

use serde_json::Value;

use crate::client::{BUCKET_HOST, announcement, check_prints, objects, post, settled, upload};
use crate::picture::png;
use crate::stack::{Settings, Stack};

const PRINTS: [&str; 4] = ["display", "large", "small", "thumb"];

/// The media of a photo, made and looked at.
async fn print(stack: &Stack, seed: u64) -> Value {
    let id = upload(stack, "one.png", "image/png", &png(64, 48, seed)).await;
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    check_prints(&media, &PRINTS).await;
    assert_eq!(objects(stack, &id).await.len(), 1 + PRINTS.len());
    media
}

/// Functions and clients alike find it there.
#[tokio::test(flavor = "multi_thread")]
async fn the_buckets_name_may_stand_in_the_hosts() {
    let by_name = |settings: &mut Settings| {
        for (name, value) in settings.iter_mut() {
            if ["S3_ENDPOINT", "S3_PUBLIC_ENDPOINT"].contains(name) {
                *value = value.replace("127.0.0.1", "localhost");
            }
        }
        let (_, endpoint) = settings.iter().find(|(name, _)| *name == "S3_ENDPOINT").unwrap();
        let bucket = endpoint.replace("localhost", BUCKET_HOST);
        settings.push(("S3_ADDRESSING", "virtual".to_owned()));
        settings.push(("S3_BUCKET_ENDPOINT", bucket));
    };
    let stack = Stack::adapted(by_name, &[]).await;
    let bucket = format!("http://{BUCKET_HOST}:");
    let media = print(&stack, 1).await;
    for variant in media["variants"].as_array().unwrap() {
        let url = variant["url"].as_str().unwrap();
        assert!(url.starts_with(&bucket), "{url}");
    }
    let announced = announcement("two.png", "image/png", &png(64, 48, 2));
    let upload = post(&stack, "/api/media", announced).await.json;
    let url = upload["upload"]["url"].as_str().unwrap();
    assert!(url.starts_with(&bucket), "{url}");
}
