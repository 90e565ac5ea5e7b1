//! One page of a list of objects.

use jiff::Timestamp;

use crate::xml::{self, ResponseError};

/// Response to [`Bucket::list`](crate::Bucket::list).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects in the order of their keys.
    pub objects: Vec<Listed>,
    /// Token for the next page; `None` on the last page.
    pub continuation: Option<String>,
}

/// One object of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key as text. It parses as [`Key`](crate::Key) unless another program stored the object.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Time of storing.
    pub modified: Timestamp,
}

impl Listing {
    /// Parses the XML document.
    ///
    /// # Errors
    /// [`ResponseError`] if the document is truncated or lacks an element, so that a truncated list is never
    /// mistaken for a short one.
    pub fn parse(body: &[u8]) -> Result<Self, ResponseError> {
        let mut listing = Self::default();
        let (mut key, mut size, mut modified) = (None, None, None);
        let mut truncated = None;
        xml::read(body, |path, text| {
            match path {
                ["ListBucketResult", "Contents", "Key"] => key = Some(text.to_owned()),
                ["ListBucketResult", "Contents", "Size"] => size = text.parse().ok(),
                ["ListBucketResult", "Contents", "LastModified"] => modified = text.parse().ok(),
                ["ListBucketResult", "Contents"] => listing.objects.push(Listed {
                    key: key.take().ok_or(ResponseError::Missing("Key"))?,
                    size: size.take().ok_or(ResponseError::Missing("Size"))?,
                    modified: modified
                        .take()
                        .ok_or(ResponseError::Missing("LastModified"))?,
                }),
                ["ListBucketResult", "IsTruncated"] => truncated = text.parse().ok(),
                ["ListBucketResult", "NextContinuationToken"] => {
                    listing.continuation = Some(text.to_owned());
                }
                _ => {}
            }
            Ok(())
        })?;
        match truncated {
            None => Err(ResponseError::Missing("IsTruncated")),
            Some(true) if listing.continuation.is_none() => {
                Err(ResponseError::Missing("NextContinuationToken"))
            }
            Some(true) => Ok(listing),
            Some(false) => Ok(Self {
                continuation: None,
                ..listing
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After the sample response in
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
    const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>quotes</Name><Prefix>E</Prefix><StartAfter>ExampleGuide.pdf</StartAfter>
  <KeyCount>1</KeyCount><MaxKeys>3</MaxKeys><IsTruncated>true</IsTruncated>
  <NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>
  <Contents>
    <Key>Example &amp; &#x41;<![CDATA[<b>]]>.txt</Key>
    <LastModified>2013-09-17T18:07:53.000Z</LastModified>
    <ETag>"599bab3ed2c697f1d26842727561fd94"</ETag>
    <Size>857</Size><StorageClass>REDUCED_REDUNDANCY</StorageClass>
    <Owner><ID>1</ID></Owner>
  </Contents>
</ListBucketResult>"#;

    #[test]
    fn a_page_is_parsed() {
        assert_eq!(
            Listing::parse(PAGE.as_bytes()).unwrap(),
            Listing {
                objects: vec![Listed {
                    key: "Example & A<b>.txt".to_owned(),
                    size: 857,
                    modified: "2013-09-17T18:07:53Z".parse().unwrap(),
                }],
                continuation: Some("1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=".to_owned()),
            }
        );
    }

    #[test]
    fn an_empty_bucket_is_an_empty_page() {
        let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert_eq!(
            Listing::parse(empty.as_bytes()).unwrap(),
            Listing::default()
        );
    }

    #[test]
    fn a_truncated_document_is_refused() {
        for end in 0..PAGE.len() {
            assert!(Listing::parse(&PAGE.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_document_that_lacks_an_element_is_refused() {
        for (part, missing) in [
            ("<Size>857</Size>", "Size"),
            ("<IsTruncated>true</IsTruncated>", "IsTruncated"),
            (
                "<LastModified>2013-09-17T18:07:53.000Z</LastModified>",
                "LastModified",
            ),
        ] {
            let page = PAGE.replace(part, "");
            let error = Listing::parse(page.as_bytes()).unwrap_err();
            assert_eq!(
                error.to_string(),
                ResponseError::Missing(missing).to_string()
            );
        }
        let deep = "<a>".repeat(1000);
        assert!(matches!(
            Listing::parse(deep.as_bytes()),
            Err(ResponseError::Document)
        ));
    }
}
