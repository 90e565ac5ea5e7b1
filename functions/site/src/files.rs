//! The mounted files, through `wasi:filesystem@0.3`.

use http::HeaderMap;
use spin_sdk::wasip3::filesystem::preopens;
use spin_sdk::wasip3::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags,
};
use spin_sdk::wasip3::http::types::{ErrorCode as HttpError, Fields, Response};
use spin_sdk::wasip3::wit_bindgen::StreamResult;
use spin_sdk::wasip3::{spawn, wit_future};

/// Size of the chunks in which this component reads a file for its tag, in bytes.
const CHUNK: usize = 64 << 10;

/// The folder that the manifest mounts at `/`.
pub(crate) struct Folder(Descriptor);

impl Folder {
    /// Returns the mounted folder, if there is one.
    pub(crate) fn mounted() -> Option<Self> {
        preopens::get_directories()
            .into_iter()
            .find(|(_, name)| name == "/")
            .map(|(descriptor, _)| Self(descriptor))
    }

    /// Opens the file at a path below the folder. Returns `None` if there is no such file.
    pub(crate) async fn open(&self, path: &str) -> Option<File> {
        let descriptor = self
            .0
            .open_at(
                PathFlags::SYMLINK_FOLLOW,
                path.to_owned(),
                OpenFlags::empty(),
                DescriptorFlags::READ,
            )
            .await
            .ok()?;
        let status = descriptor.stat().await.ok()?;
        matches!(status.type_, DescriptorType::RegularFile).then(|| File {
            path: path.to_owned(),
            version: Version {
                size: status.size,
                modified: status
                    .data_modification_timestamp
                    .map(|time| (time.seconds, time.nanoseconds)),
            },
            descriptor,
        })
    }
}

/// A file that is open for reading.
pub(crate) struct File {
    path: String,
    version: Version,
    descriptor: Descriptor,
}

/// The metadata that differ when a file was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    size: u64,
    /// Seconds and nanoseconds since 1970.
    modified: Option<(i64, u32)>,
}

impl File {
    /// Returns the path below the folder.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the size in bytes when the file was opened.
    pub(crate) fn size(&self) -> u64 {
        self.version.size
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Reads the whole file and passes each chunk to `process`.
    ///
    /// # Errors
    /// When the host fails to read.
    pub(crate) async fn read(&self, mut process: impl FnMut(&[u8])) -> Result<(), ErrorCode> {
        let (mut stream, outcome) = self.descriptor.read_via_stream(0);
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            let (result, chunk) = stream.read(buffer).await;
            process(&chunk);
            if !matches!(result, StreamResult::Complete(_)) {
                return outcome.await;
            }
            buffer = chunk;
            buffer.clear();
        }
    }

    /// Returns a response whose body the host reads from the file. If reading fails, the body is aborted.
    ///
    /// # Errors
    /// When the host rejects the headers.
    pub(crate) fn into_response(self, headers: HeaderMap) -> Result<Response, HttpError> {
        let headers = Fields::try_from(headers)
            .map_err(|error| HttpError::InternalError(Some(error.to_string())))?;
        let (stream, outcome) = self.descriptor.read_via_stream(0);
        let (end, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(stream), trailers);
        // Reports the end of the body to the host. It also keeps the instance busy: hosts end idle
        // instances, together with the streams that these passed on.
        spawn(async move {
            let ended = outcome
                .await
                .map(|()| None)
                .map_err(|error| HttpError::InternalError(Some(format!("{error:?}"))));
            // Fails only if the client has disconnected.
            let _ = end.write(ended).await;
        });
        Ok(response)
    }
}
