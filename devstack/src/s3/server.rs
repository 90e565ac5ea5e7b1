//! The S3 server: opens the folder and the port, serves until it is stopped.

use std::path::PathBuf;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Version};
use hyper::body::{Body as _, Incoming};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{HttpError, HttpResponse};

use super::access::Access;
use super::cors;
use super::host::Localhost;
use super::operations::Operations;
use super::storage::Storage;
use crate::access_key::AccessKey;
use crate::data_folder::DataFolder;
use crate::error::{Error, IoContext};
use crate::loopback::Loopback;

/// Region that requests are signed for.
pub const REGION: &str = "fr-par";
/// Name of the bucket.
pub const BUCKET: &str = "tirage";

/// Configuration of a server. The default is a temporary one.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Data folder, created if absent; `None` for a temporary one.
    pub folder: Option<PathBuf>,
    /// Port on 127.0.0.1; `None` for that of the last start, or a free one.
    pub port: Option<u16>,
}

/// A server that holds its folder and its port.
pub struct Server {
    loopback: Loopback,
    access_key: AccessKey,
    s3: S3Service,
    _folder: DataFolder,
}

impl Server {
    /// Opens the folder and the port. Connections wait until [`Server::serve`].
    ///
    /// # Errors
    /// [`Error`] says what is missing.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let folder = DataFolder::open_or_temporary(settings.folder.as_deref())?;
        let access_key = AccessKey::read_or_create(&folder.path().join("credentials.json"))?;
        let storage = Storage::open(folder.path(), BUCKET)
            .with_action(|| format!("open {}", folder.path().display()))?;
        Ok(Self {
            loopback: Loopback::bind(&folder, settings.port)?,
            s3: service(storage, &access_key),
            access_key,
            _folder: folder,
        })
    }

    /// Returns `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.loopback.endpoint()
    }

    /// Returns the key that clients sign with.
    #[must_use]
    pub fn access_key(&self) -> &AccessKey {
        &self.access_key
    }

    /// Serves until `stop` resolves, then finishes requests in flight.
    ///
    /// # Errors
    /// [`Error::Io`] if the runtime refuses the socket.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let s3 = self.s3;
        let handler = move |request| respond(s3.clone(), request);
        self.loopback.serve(handler, stop).await
    }
}

fn service(storage: Storage, access_key: &AccessKey) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Operations(Arc::new(storage)));
    builder.set_auth(SimpleAuth::from_single(
        access_key.access_key_id.clone(),
        access_key.secret_access_key.clone(),
    ));
    builder.set_access(Access { region: REGION });
    builder.set_host(Localhost);
    builder.build()
}

async fn respond(s3: S3Service, request: Request<Incoming>) -> Result<HttpResponse, HttpError> {
    if let Some(response) = cors::preflight(&request) {
        return Ok(response);
    }
    // If the request is refused before its body was read, HTTP/1 can't reuse the connection. Without
    // `Connection: close` the client would send its next request into a closing connection.
    let may_have_unread = request.version() < Version::HTTP_2 && !request.body().is_end_stream();
    let mut response = s3.call(request.map(s3s::Body::from)).await?;
    if may_have_unread && !response.status().is_success() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    cors::expose(response.headers_mut());
    Ok(response)
}
