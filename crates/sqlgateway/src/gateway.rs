//! The gateway: turns an HTTP request into an HTTP response.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ALLOW,
    CONTENT_TYPE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use tirage_postgres::{Config, Error};
use tokio::time::{Instant, timeout};
use tracing::Instrument;
use uuid::Uuid;

use crate::accounts::{Accounts, classify_refusal};
use crate::execute::{self, Mode};
use crate::failure::Failure;
use crate::pool::Pool;
use crate::request::{Options, Payload};
use crate::settings::Settings;

/// Serves SQL over HTTP with pools of connections to Postgres. Clones share the pools.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(crate) settings: Arc<Settings>,
    pools: Arc<Mutex<HashMap<String, Arc<Pool>>>>,
}

/// A database role that executes requests. Clones share its pool.
#[derive(Clone, Debug)]
pub struct Role(Arc<Pool>);

/// The identity that a request is executed as.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// A role that the host has chosen. The request's connection string is ignored.
    Role(&'a Role),
    /// The user in the request's connection string, if the password is right.
    ConnectionString(&'a Accounts),
}

impl Gateway {
    /// Creates a gateway. It opens no connection before the first request.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            pools: Arc::default(),
        }
    }

    /// Returns the role that `config` logs in as, for [`Identity::Role`]. The same address returns the
    /// same pool. Opens no connection before the first request.
    pub fn role(&self, config: Config) -> Role {
        Role(self.pool(config))
    }

    /// Serves one request. Errors become responses.
    ///
    /// `POST /sql` executes statements, `OPTIONS /sql` answers preflight requests of browsers, and
    /// everything else is a 400, as with Neon. Dropping the future cancels the statement. Requires a
    /// Tokio runtime.
    pub async fn serve<B>(
        &self,
        identity: Identity<'_>,
        request: Request<B>,
    ) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let id = Uuid::new_v4();
        let mut response = match (request.method(), request.uri().path()) {
            (&Method::POST, "/sql") => {
                let span = tracing::debug_span!("sql", request = %id);
                let mut response = self
                    .answer(identity, request)
                    .instrument(span.clone())
                    .await
                    .unwrap_or_else(|failure| span.in_scope(|| failure.into_response()));
                response
                    .headers_mut()
                    .insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
                response
            }
            (&Method::OPTIONS, "/sql") => preflight(),
            _ => Failure::NotSupported.into_response(),
        };
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        if let Ok(value) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)) {
            response.headers_mut().insert("neon-request-id", value);
        }
        response
    }

    async fn answer<B>(
        &self,
        identity: Identity<'_>,
        request: Request<B>,
    ) -> Result<Response<Full<Bytes>>, Failure>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let pool = match identity {
            Identity::Role(role) => role.0.clone(),
            Identity::ConnectionString(accounts) => accounts.pool(self, &parts.headers).await?,
        };
        let options = Options::read(&parts.headers)?;
        let body = self.read(body).await?;
        let payload = Payload::read(&body)?;
        let json = self
            .run(&pool, &payload, options)
            .await
            .map_err(|failure| match failure {
                Failure::Connect { error, .. }
                    if matches!(identity, Identity::ConnectionString(_)) =>
                {
                    classify_refusal(error)
                }
                other => other,
            })?;
        let mut response = Response::new(Full::new(Bytes::from(json)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Payload::Batch(_) = payload {
            options.transaction.echo(headers);
        }
        Ok(response)
    }

    /// Executes the payload. Repeats it on another connection if Postgres had closed the first before
    /// it read the request, and unprepared if a prepared statement is outdated.
    async fn run(
        &self,
        pool: &Arc<Pool>,
        payload: &Payload<'_>,
        options: Options,
    ) -> Result<Vec<u8>, Failure> {
        let deadline = Instant::now() + self.settings.wait;
        let limit = self.settings.max_response_bytes;
        let mut mode = Mode::Prepared;
        loop {
            let mut lease = pool.lease(deadline).await?;
            let result = match payload {
                Payload::Single(query) => {
                    execute::single(&mut lease, query, mode, options, limit).await
                }
                Payload::Batch(queries) => {
                    execute::batch(&mut lease, queries, mode, options, limit).await
                }
            };
            match result {
                Err(Failure::Statement(Error::Stale))
                    if lease.may_repeat() && Instant::now() < deadline => {}
                Err(Failure::Statement(Error::Outdated(error))) if mode == Mode::Prepared => {
                    pool.statement_was_outdated(&error);
                    mode = Mode::Unprepared;
                }
                result => return result,
            }
        }
    }

    async fn read<B>(&self, body: B) -> Result<Bytes, Failure>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let limit = self.settings.max_request_bytes;
        match timeout(self.settings.read, read_at_most(limit, body)).await {
            Ok(Ok(Some(body))) => Ok(body),
            Ok(Ok(None)) => Err(Failure::RequestTooLarge(limit)),
            Ok(Err(error)) => Err(Failure::Read(error.into().to_string())),
            Err(_elapsed) => Err(Failure::Read("the body took too long to arrive".to_owned())),
        }
    }

    /// Returns the pool for an address and creates it if necessary.
    pub(crate) fn pool(&self, config: Config) -> Arc<Pool> {
        let key = config.to_string();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&key)
            && same_password(pool.config(), &config)
        {
            return pool.clone();
        }
        // Clients choose the names of databases, so the number of pools must not grow without bound.
        pools.retain(|_, pool| pool.is_in_use());
        let pool = Pool::new(config, Settings::clone(&self.settings));
        pools.insert(key, pool.clone());
        pool
    }
}

/// Reads the body. Returns `None` if it is longer than `limit` bytes.
///
/// Of a longer body, up to twice the limit is read and discarded: a client that is still writing when
/// the connection closes may never see the response.
async fn read_at_most<B: Body>(limit: usize, body: B) -> Result<Option<Bytes>, B::Error> {
    let max_discarded = limit.saturating_mul(2);
    if body.size_hint().lower() > max_discarded as u64 {
        return Ok(None);
    }
    let mut body = pin!(body);
    let (mut read, mut size) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        size += data.remaining();
        if size > max_discarded {
            break;
        }
        if size <= limit {
            read.put(data);
        }
    }
    Ok((size <= limit).then(|| read.freeze()))
}

fn same_password(one: &Config, other: &Config) -> bool {
    match (one.password(), other.password()) {
        (Some(one), Some(other)) => one.matches(other.as_bytes()),
        (None, None) => true,
        _ => false,
    }
}

/// Answers the preflight request of a browser (CORS).
fn preflight() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.headers_mut() = HeaderMap::from_iter([
        (ALLOW, HeaderValue::from_static("OPTIONS, POST")),
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(
                "Authorization, Neon-Connection-String, Neon-Raw-Text-Output, Neon-Array-Mode, \
                 Neon-Pool-Opt-In, Neon-Batch-Read-Only, Neon-Batch-Isolation-Level, \
                 Neon-Batch-Deferrable",
            ),
        ),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
    ]);
    response
}
