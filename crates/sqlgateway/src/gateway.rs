//! The gateway: from an HTTP request to an HTTP response.

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

use crate::accounts::{Accounts, caused_by_caller};
use crate::execute::{self, Manner};
use crate::failure::Failure;
use crate::kind::only_reads_rows;
use crate::lanes::{Turn, take_turn};
use crate::pool::Pool;
use crate::request::{Options, Payload};
use crate::settings::Settings;

/// Answers SQL over HTTP with pools of connections to Postgres. Clones share the pools.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(crate) settings: Arc<Settings>,
    pools: Arc<Mutex<HashMap<String, Arc<Pool>>>>,
}

/// A role in a database that requests are made as. Clones are the same role.
#[derive(Clone, Debug)]
pub struct Role(Arc<Pool>);

/// Who makes a request.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// Somebody who was bound to a role beforehand. Whatever the request says of itself is ignored.
    Role(&'a Role),
    /// Whoever the request's connection string names, if its password is right.
    ConnectionString(&'a Accounts),
}

impl Gateway {
    /// A gateway without any connection yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            pools: Arc::default(),
        }
    }

    /// The role that `config` logs in as, for [`Identity::Role`]. Nothing connects before the first
    /// request. The same address gives the same pool.
    pub fn role(&self, config: Config) -> Role {
        Role(self.pool(config))
    }

    /// Answers one request. It never fails: what goes wrong is an answer too.
    ///
    /// `POST /sql` runs statements, `OPTIONS /sql` is for browsers; all else is a 400, as with Neon.
    /// Dropping the future cancels the statement. Must be called within a Tokio runtime.
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
                    caused_by_caller(error)
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

    /// Runs the payload; a quick read together with others, if they come at the same time.
    async fn run(
        &self,
        pool: &Arc<Pool>,
        payload: &Payload<'_>,
        options: Options,
    ) -> Result<Vec<u8>, Failure> {
        let lane = match payload {
            Payload::Batch(_) => None,
            Payload::Single(query) => match take_turn(pool, query, options).await {
                Turn::Answered(answer) => return answer,
                Turn::Alone(lane) => lane,
            },
        };
        let mut alone = pin!(self.run_alone(pool, payload, options));
        if let Some(lane) = lane
            && let Some(answer) = lane.while_patient(alone.as_mut()).await
        {
            return answer;
        }
        alone.await
    }

    /// Runs the payload by itself, on another connection if the server turns out to have left the first
    /// before it saw anything, or to have skipped it, and plainly if a name turns out to be outdated.
    async fn run_alone(
        &self,
        pool: &Arc<Pool>,
        payload: &Payload<'_>,
        options: Options,
    ) -> Result<Vec<u8>, Failure> {
        let began = Instant::now();
        let deadline = began + self.settings.wait;
        let limit = self.settings.max_response_bytes;
        let mut manner = Manner::Quick;
        loop {
            let mut lease = pool.lease(deadline).await?;
            let result = match payload {
                Payload::Single(query) => {
                    execute::single(&mut lease, query, manner, options, limit).await
                }
                Payload::Batch(queries) => {
                    execute::batch(&mut lease, queries, manner, options, limit).await
                }
            };
            match result {
                Err(Failure::Statement(Error::Stale | Error::Skipped(_)))
                    if !lease.has_begun() && Instant::now() < deadline => {}
                Err(Failure::Statement(Error::Outdated(error))) if manner == Manner::Quick => {
                    pool.statement_was_outdated(&error);
                    manner = Manner::Plain;
                }
                result => {
                    if let (Payload::Single(query), Ok(_)) = (payload, &result)
                        && pool.lanes.is_quick(began.elapsed())
                        && only_reads_rows(&query.statement)
                        && lease.keeps_statement(&query.statement)
                    {
                        pool.lanes.learn(&query.statement);
                    }
                    return result;
                }
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
            Err(_elapsed) => Err(Failure::Read("it took too long to arrive".to_owned())),
        }
    }

    /// The pool for an address, made if there is none.
    pub(crate) fn pool(&self, config: Config) -> Arc<Pool> {
        let key = config.to_string();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&key)
            && same_password(pool.config(), &config)
        {
            return pool.clone();
        }
        // Names of databases come from callers, and shouldn't be kept for ever.
        pools.retain(|_, pool| pool.is_in_use());
        let pool = Pool::new(config, Settings::clone(&self.settings));
        pools.insert(key, pool.clone());
        pool
    }
}

/// The body; `None` if it is longer than `limit` bytes.
///
/// As much again is read of what is too long, and thrown away: a client that is still writing when
/// the connection closes may never see the answer.
async fn read_at_most<B: Body>(limit: usize, body: B) -> Result<Option<Bytes>, B::Error> {
    let patience = limit.saturating_mul(2);
    if body.size_hint().lower() > patience as u64 {
        return Ok(None);
    }
    let mut body = pin!(body);
    let (mut read, mut size) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        size += data.remaining();
        if size > patience {
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

/// What a browser asks before it sends a request with these headers.
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
