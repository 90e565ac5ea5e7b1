//! The client: sends a statement or a batch as one request, and sends it again when Postgres reports
//! that it lost to another transaction.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};

use crate::error::Error;
use crate::parameter::Statement;
use crate::protocol;
use crate::rows::Rows;
use crate::transport::Transport;

/// A client of one database behind one gateway.
#[derive(Debug)]
pub struct Client<T> {
    transport: T,
    endpoint: Endpoint,
    options: Options,
}

impl<T: Transport> Client<T> {
    /// Creates a client with the default [`Options`]. Sends nothing.
    pub fn new(transport: T, endpoint: Endpoint) -> Self {
        Self::with_options(transport, endpoint, Options::default())
    }

    /// Creates a client with other options. Sends nothing.
    pub fn with_options(transport: T, endpoint: Endpoint, options: Options) -> Self {
        Self {
            transport,
            endpoint,
            options,
        }
    }

    /// Runs one statement, as its own transaction.
    ///
    /// The statement is sent again if it lost to another transaction. So don't `call` a procedure that
    /// commits in between: its committed part would run twice.
    ///
    /// # Errors
    /// [`Error`] says which errors are safe to retry. After [`Error::Timeout`] and most transport errors
    /// it is unknown whether the statement took effect.
    pub async fn query(&self, statement: Statement) -> Result<Rows, Error> {
        let response = self
            .send(self.request(protocol::encode_query(&statement)?))
            .await?;
        protocol::decode_query(&response)
    }

    /// Runs statements in order as one transaction, and returns the rows of each.
    ///
    /// The batch is sent again if it lost to another transaction, so none of the statements may be a
    /// `COMMIT` or `BEGIN`: the part committed before would run twice.
    ///
    /// # Errors
    /// The same as [`Self::query`]; the first statement that fails rolls all of them back.
    pub async fn batch<const N: usize>(
        &self,
        statements: [Statement; N],
    ) -> Result<[Rows; N], Error> {
        self.transaction(Transaction::default(), &statements)
            .await?
            .try_into()
            .map_err(|results: Vec<Rows>| {
                Error::Protocol(format!("{} results for {N} statements", results.len()))
            })
    }

    /// Runs a [`Self::batch`] of any number of statements, with a transaction's options.
    ///
    /// # Errors
    /// The same as [`Self::batch`].
    pub async fn transaction(
        &self,
        options: Transaction,
        statements: &[Statement],
    ) -> Result<Vec<Rows>, Error> {
        let mut request = self.request(protocol::encode_batch(statements)?);
        options.apply(&mut request);
        let response = self.send(request).await?;
        protocol::decode_batch(&response)
    }

    fn request(&self, body: Bytes) -> Request<Bytes> {
        let length = body.len();
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.endpoint.uri.clone();
        let headers = request.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("content-length", length.into());
        headers.insert(
            "neon-connection-string",
            self.endpoint.connection_string.clone(),
        );
        headers.insert("neon-raw-text-output", TRUE);
        headers.insert("neon-array-mode", TRUE);
        request
    }

    /// Sends the request again after each conflict, within the options' attempts and timeout.
    async fn send(&self, request: Request<Bytes>) -> Result<Bytes, Error> {
        let mut timeout = pin!(self.transport.sleep(self.options.timeout));
        let mut attempts_left = self.options.attempts.saturating_sub(1);
        let mut backoff = self.options.backoff;
        loop {
            let attempt = pin!(self.send_once(request.clone()));
            let outcome = match select(attempt, timeout.as_mut()).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(((), _)) => return Err(Error::Timeout),
            };
            if attempts_left == 0 || !matches!(outcome, Err(Error::Conflict(_))) {
                return outcome;
            }
            let pause = pin!(self.transport.sleep(jittered(backoff)));
            if let Either::Right(_) = select(pause, timeout.as_mut()).await {
                // Not a timeout: the caller can rely on a conflict having had no effect.
                return outcome;
            }
            attempts_left -= 1;
            backoff = backoff.saturating_mul(2);
        }
    }

    async fn send_once(&self, request: Request<Bytes>) -> Result<Bytes, Error> {
        let (head, body) = self.transport.send(request).await?.into_parts();
        match head.status.as_u16() {
            200 => Ok(body),
            status => Err(Error::from_response(status, &body)),
        }
    }
}

/// Returns a random duration between 0.5 and 1.5 times `pause`, so that two transactions that lost to
/// each other don't collide again and again.
fn jittered(pause: Duration) -> Duration {
    // Each state has other keys. The number needs to differ, not to be unpredictable.
    let random = RandomState::new().hash_one(()) >> 32;
    let fraction = f64::from(u32::try_from(random).unwrap_or_default()) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + fraction)
}

const TRUE: HeaderValue = HeaderValue::from_static("true");

/// The address of a gateway, and the database behind it. `Debug` doesn't show the credentials.
#[derive(Clone)]
pub struct Endpoint {
    uri: Uri,
    connection_string: HeaderValue,
}

impl Endpoint {
    /// Creates an endpoint from the gateway's absolute URL (`http://sql.tirage.internal`,
    /// `https://api.<region>.neon.tech`), where an empty path means `/sql`, and a connection string
    /// (`postgres://user:password@host/database`).
    ///
    /// # Errors
    /// [`EndpointError`] if the URL is not absolute, or the connection string can't be a header.
    pub fn new(url: &str, connection_string: &str) -> Result<Self, EndpointError> {
        let mut parts = url
            .parse::<Uri>()
            .map_err(|_| EndpointError::Url)?
            .into_parts();
        if parts.path_and_query.as_ref().is_none_or(|path| path == "/") {
            parts.path_and_query = Some(PathAndQuery::from_static("/sql"));
        }
        if parts.scheme.is_none() {
            return Err(EndpointError::Url);
        }
        let uri = Uri::from_parts(parts).map_err(|_| EndpointError::Url)?;
        let mut connection_string = HeaderValue::from_str(connection_string)
            .map_err(|_| EndpointError::ConnectionString)?;
        connection_string.set_sensitive(true);
        Ok(Self {
            uri,
            connection_string,
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

/// Invalid parts of an [`Endpoint`]. The error doesn't repeat them, since they hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The gateway's URL is not absolute.
    #[error("invalid gateway address: expected an absolute URL")]
    Url,
    /// The connection string has characters that a header can't hold.
    #[error("the connection string has control characters")]
    ConnectionString,
}

/// Options of a [`Client`].
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Timeout of a whole call, with all its attempts. Default: 10 s.
    pub timeout: Duration,
    /// Largest number of attempts of a call that loses to other transactions. Default: 4.
    pub attempts: u32,
    /// Pause before the second attempt, doubled for each further one. Each is made up to 50 % shorter or
    /// longer at random. Default: 10 ms.
    pub backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            attempts: 4,
            backoff: Duration::from_millis(10),
        }
    }
}

/// Options of a batch's transaction
/// (<https://www.postgresql.org/docs/current/sql-set-transaction.html>). The default is the server's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transaction {
    /// The isolation level, if not the server's default.
    pub isolation: Option<Isolation>,
    /// `true` if writing is an error.
    pub read_only: bool,
    /// `true` if a serializable read-only transaction waits for a snapshot that can't conflict.
    pub deferrable: bool,
}

impl Transaction {
    fn apply(self, request: &mut Request<Bytes>) {
        let headers = request.headers_mut();
        if let Some(isolation) = self.isolation {
            headers.insert(
                "neon-batch-isolation-level",
                HeaderValue::from_static(isolation.name()),
            );
        }
        if self.read_only {
            headers.insert("neon-batch-read-only", TRUE);
        }
        if self.deferrable {
            headers.insert("neon-batch-deferrable", TRUE);
        }
    }
}

/// Isolation level of a transaction (<https://www.postgresql.org/docs/current/transaction-iso.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Postgres' own")]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Isolation {
    fn name(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "ReadUncommitted",
            Self::ReadCommitted => "ReadCommitted",
            Self::RepeatableRead => "RepeatableRead",
            Self::Serializable => "Serializable",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use futures::executor::block_on;

    use super::*;
    use crate::transport::TransportError;

    /// A gateway that sends these responses in turn and then no more, and a clock that only runs while
    /// the client waits for nothing else.
    #[derive(Default)]
    struct Script {
        responses: RefCell<Vec<(u16, &'static str)>>,
        requests: RefCell<Vec<Request<Bytes>>>,
        pauses: RefCell<Vec<Duration>>,
    }

    impl Transport for &Script {
        async fn send(
            &self,
            request: Request<Bytes>,
        ) -> Result<http::Response<Bytes>, TransportError> {
            self.requests.borrow_mut().push(request);
            let Some((status, body)) = self.responses.borrow_mut().pop() else {
                return pending().await;
            };
            let mut response = http::Response::new(Bytes::from(body));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            Ok(response)
        }

        async fn sleep(&self, duration: Duration) {
            self.pauses.borrow_mut().push(duration);
        }
    }

    const CONFLICT: (u16, &str) = (400, r#"{"message":"deadlock detected","code":"40P01"}"#);
    const EMPTY: (u16, &str) = (200, r#"{"fields":[],"rows":[],"rowCount":0}"#);

    fn run(responses: &[(u16, &'static str)]) -> (Result<Rows, Error>, Script) {
        let script = Script {
            responses: RefCell::new(responses.iter().rev().copied().collect()),
            ..Script::default()
        };
        let endpoint = Endpoint::new("http://gateway.test/sql", "postgres://u:secret@h/d").unwrap();
        let outcome = block_on(Client::new(&script, endpoint).query(Statement::new("select 1")));
        (outcome, script)
    }

    #[test]
    fn a_request_has_the_headers_of_the_protocol() {
        let (outcome, script) = run(&[EMPTY]);
        assert!(outcome.unwrap().is_empty());
        let requests = script.requests.borrow();
        let [request] = requests.as_slice() else {
            panic!("{} requests", requests.len());
        };
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "http://gateway.test/sql");
        assert_eq!(
            request.headers()["neon-connection-string"],
            "postgres://u:secret@h/d"
        );
        assert_eq!(request.headers()["neon-raw-text-output"], "true");
        assert_eq!(request.headers()["neon-array-mode"], "true");
    }

    #[test]
    fn a_conflict_is_sent_again() {
        let (outcome, script) = run(&[CONFLICT, CONFLICT, EMPTY]);
        assert!(outcome.is_ok());
        assert_eq!(script.requests.borrow().len(), 3);
        let pauses = script.pauses.borrow();
        let [first, second] = pauses.as_slice() else {
            panic!("{pauses:?}");
        };
        for (pause, backoff) in [(first, 10), (second, 20)] {
            let backoff = Duration::from_millis(backoff);
            assert!((backoff / 2..=backoff * 3 / 2).contains(pause), "{pause:?}");
        }
    }

    #[test]
    fn pauses_differ_at_random() {
        let pauses: Vec<_> = (0..8).map(|_| jittered(Duration::from_secs(1))).collect();
        assert!(pauses.iter().any(|pause| pause != &pauses[0]), "{pauses:?}");
    }

    /// Reports a conflict every time, and its pauses never end.
    struct EndlessPauses;

    impl Transport for EndlessPauses {
        async fn send(&self, _: Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
            let mut response = http::Response::new(Bytes::from(CONFLICT.1));
            *response.status_mut() = http::StatusCode::BAD_REQUEST;
            Ok(response)
        }

        async fn sleep(&self, duration: Duration) {
            if duration < Options::default().timeout {
                pending().await
            }
        }
    }

    #[test]
    fn a_timeout_between_two_attempts_is_reported_as_the_conflict() {
        let endpoint = Endpoint::new("http://gateway.test", "x").unwrap();
        let outcome =
            block_on(Client::new(EndlessPauses, endpoint).query(Statement::new("select 1")));
        assert!(matches!(outcome, Err(Error::Conflict(_))), "{outcome:?}");
    }

    #[test]
    fn attempts_after_conflicts_are_limited() {
        let (outcome, script) = run(&[CONFLICT; 10]);
        assert!(matches!(outcome, Err(Error::Conflict(_))));
        assert_eq!(script.requests.borrow().len(), 4);
    }

    #[test]
    fn other_errors_are_not_sent_again() {
        for (status, body) in [
            (400, r#"{"message":"duplicate key","code":"23505"}"#),
            (500, "broken"),
            (503, "full"),
        ] {
            let (outcome, script) = run(&[(status, body), EMPTY]);
            assert!(outcome.is_err());
            assert_eq!(script.requests.borrow().len(), 1, "{status}");
        }
    }

    #[test]
    fn no_response_is_a_timeout() {
        let (outcome, script) = run(&[]);
        assert_eq!(outcome, Err(Error::Timeout));
        assert_eq!(script.pauses.borrow().as_slice(), [Duration::from_secs(10)]);
    }

    #[test]
    fn an_endpoint_is_an_absolute_url_with_a_path() {
        let uri = |url| Endpoint::new(url, "x").map(|endpoint| endpoint.uri.to_string());
        for url in ["http://h:1", "http://h:1/", "http://h:1/sql"] {
            assert_eq!(uri(url).unwrap(), "http://h:1/sql");
        }
        assert_eq!(uri("https://h/other?a=b").unwrap(), "https://h/other?a=b");
        for url in ["", "/sql", "h", "h:1", "http://", "http:/sql"] {
            assert_eq!(uri(url), Err(EndpointError::Url), "{url}");
        }
    }

    #[test]
    fn debug_of_an_endpoint_shows_no_password() {
        assert_eq!(
            Endpoint::new("http://h/sql", "a\nb").unwrap_err(),
            EndpointError::ConnectionString
        );
        let endpoint = Endpoint::new("http://h/sql", "postgres://u:secret@h/d").unwrap();
        assert!(!format!("{endpoint:?}").contains("secret"));
    }

    #[test]
    fn options_become_headers() {
        let mut request = Request::new(Bytes::new());
        Transaction {
            isolation: Some(Isolation::RepeatableRead),
            read_only: true,
            deferrable: false,
        }
        .apply(&mut request);
        assert_eq!(
            request.headers()["neon-batch-isolation-level"],
            "RepeatableRead"
        );
        assert_eq!(request.headers()["neon-batch-read-only"], "true");
        assert!(!request.headers().contains_key("neon-batch-deferrable"));
    }
}
