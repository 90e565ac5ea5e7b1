//! Photos are processed with each way to configure the bucket.

use serde_json::Value;

use crate::client::{
    BUCKET_HOST, DEFAULT_VARIANTS, announcement, check_variants, objects, post, settled, upload,
};
use crate::picture::png;
use crate::stack::{Settings, Stack};

/// Uploads a photo and checks its variants. Returns the media item.
async fn process(stack: &Stack, seed: u64) -> Value {
    let id = upload(stack, "one.png", "image/png", &png(64, 48, seed)).await;
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    check_variants(&media, &DEFAULT_VARIANTS).await;
    assert_eq!(objects(stack, &id).await.len(), 1 + DEFAULT_VARIANTS.len());
    media
}

/// Functions and clients use the same form of the URL.
#[tokio::test(flavor = "multi_thread")]
async fn bucket_name_may_be_part_of_the_host() {
    let by_name = |settings: &mut Settings| {
        for (name, value) in settings.iter_mut() {
            if ["S3_ENDPOINT", "S3_PUBLIC_ENDPOINT"].contains(name) {
                *value = value.replace("127.0.0.1", "localhost");
            }
        }
        let (_, endpoint) = settings
            .iter()
            .find(|(name, _)| *name == "S3_ENDPOINT")
            .unwrap();
        let bucket = endpoint.replace("localhost", BUCKET_HOST);
        settings.push(("S3_ADDRESSING", "virtual".to_owned()));
        settings.push(("S3_BUCKET_ENDPOINT", bucket));
    };
    let stack = Stack::adapted(by_name, &[]).await;
    let bucket = format!("http://{BUCKET_HOST}:");
    let media = process(&stack, 1).await;
    for variant in media["variants"].as_array().unwrap() {
        let url = variant["url"].as_str().unwrap();
        assert!(url.starts_with(&bucket), "{url}");
    }
    let announced = announcement("two.png", "image/png", &png(64, 48, 2));
    let upload = post(&stack, "/api/media", announced).await.json;
    let url = upload["upload"]["url"].as_str().unwrap();
    assert!(url.starts_with(&bucket), "{url}");
}
