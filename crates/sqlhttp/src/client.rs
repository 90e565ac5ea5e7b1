//! The client: one request for a statement or a batch, sent again when Postgres says that it lost to
//! another transaction.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
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

/// Speaks to one database through one gateway.
#[derive(Debug)]
pub struct Client<T> {
    transport: T,
    endpoint: Endpoint,
    settings: Settings,
}

impl<T: Transport> Client<T> {
    /// A client with the default [`Settings`]. Nothing is sent yet.
    pub fn new(transport: T, endpoint: Endpoint) -> Self {
        Self::with_settings(transport, endpoint, Settings::default())
    }

    /// A client with other settings.
    pub fn with_settings(transport: T, endpoint: Endpoint, settings: Settings) -> Self {
        Self {
            transport,
            endpoint,
            settings,
        }
    }

    /// Runs one statement, as its own transaction.
    ///
    /// It is sent again if it lost to another transaction. So don't `call` a procedure that commits
    /// on its way: what it had committed before it lost would be done twice.
    ///
    /// # Errors
    /// [`Error`] says which are safe to repeat. After [`Error::Timeout`] and most transport errors it
    /// is unknown whether the statement took effect.
    pub async fn query(&self, statement: Statement) -> Result<Rows, Error> {
        let answer = self
            .send(self.request(protocol::encode_query(&statement)?))
            .await?;
        protocol::decode_query(&answer)
    }

    /// Runs statements in order as one transaction, of which all or nothing takes effect, and gives
    /// the rows of each.
    ///
    /// It is sent again if it lost to another transaction, so none of the statements may be a `COMMIT`
    /// or `BEGIN`: what was committed half-way would be done twice.
    ///
    /// # Errors
    /// As for [`Self::query`]; the first statement that fails rolls all of them back.
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

    /// [`Self::batch`] for any number of statements, with a transaction's options.
    ///
    /// # Errors
    /// As for [`Self::batch`].
    pub async fn transaction(
        &self,
        options: Transaction,
        statements: &[Statement],
    ) -> Result<Vec<Rows>, Error> {
        let mut request = self.request(protocol::encode_batch(statements)?);
        options.apply(&mut request);
        let answer = self.send(request).await?;
        protocol::decode_batch(&answer)
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

    /// Sends until it doesn't lose, for as often and as long as the settings say.
    async fn send(&self, request: Request<Bytes>) -> Result<Bytes, Error> {
        let mut timeout = pin!(self.transport.sleep(self.settings.timeout));
        let mut attempts_left = self.settings.attempts.saturating_sub(1);
        let mut backoff = self.settings.backoff;
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
                // Nobody has to guess: what lost is known not to have taken effect.
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
            status => Err(Error::from_answer(status, &body)),
        }
    }
}

/// Between half and one and a half of it: two that lost to each other don't meet again for ever.
fn jittered(pause: Duration) -> Duration {
    // Each state has other keys. This need be no secret, only different.
    let random = RandomState::new().hash_one(()) >> 32;
    let fraction = f64::from(u32::try_from(random).unwrap_or_default()) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + fraction)
}

const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Where the gateway is, and which database it shall ask. `Debug` doesn't show the credentials.
#[derive(Clone)]
pub struct Endpoint {
    uri: Uri,
    connection_string: HeaderValue,
}

impl Endpoint {
    /// An endpoint from the gateway's absolute URL (`http://sql.tirage.internal`,
    /// `https://api.<region>.neon.tech`), whose path is the protocol's `/sql` unless it has another,
    /// and a connection string (`postgres://user:password@host/database`).
    ///
    /// # Errors
    /// [`EndpointError`] if the URL is not an absolute one, or the connection string can't be a header.
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

    /// Neon's own endpoint for a database of theirs, from its connection string alone.
    ///
    /// By the rule of Neon's driver: over `https`, at the database's host name with `api` in place of
    /// its first label. `postgres://u:p@ep-cool-1.eu-central-1.aws.neon.tech/d` is asked at
    /// `https://api.eu-central-1.aws.neon.tech/sql`. The string's port is that of Postgres' own
    /// protocol and doesn't count.
    ///
    /// # Errors
    /// [`EndpointError::NeonHost`] if the string names no host, or one without a domain.
    pub fn neon(connection_string: &str) -> Result<Self, EndpointError> {
        let host = host_of(connection_string).ok_or(EndpointError::NeonHost)?;
        let (_, domain) = host.split_once('.').ok_or(EndpointError::NeonHost)?;
        if host.starts_with('.') || domain.is_empty() || host.parse::<Ipv4Addr>().is_ok() {
            return Err(EndpointError::NeonHost);
        }
        Self::new(&format!("https://api.{domain}"), connection_string)
            .map_err(|_| EndpointError::NeonHost)
    }
}

/// The host of a `postgres://` address (RFC 3986, section 3.2), without its port.
fn host_of(connection_string: &str) -> Option<&str> {
    let (scheme, rest) = connection_string.split_once("://")?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    host.split(':').next()
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

/// An [`Endpoint`] can't be made of this. It doesn't repeat what it was given: that is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute URL.
    #[error("the gateway's address is not an absolute URL")]
    Url,
    /// Holds characters that no header can.
    #[error("the connection string holds control characters")]
    ConnectionString,
    /// Not the address of a database at Neon.
    #[error("the connection string has no host name with a domain")]
    NeonHost,
}

/// How patient a [`Client`] is.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// For a whole call, with all its attempts. Default: 10 s.
    pub timeout: Duration,
    /// How often a call is sent that loses to other transactions, the first time included. Default: 4.
    pub attempts: u32,
    /// The pause before the second attempt; each later one is twice as long, and each is by chance up
    /// to half shorter or longer. Default: 10 ms.
    pub backoff: Duration,
}

impl Default for Settings {
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
    /// Whether writing is an error.
    pub read_only: bool,
    /// Whether a serializable read-only transaction waits for a snapshot that can't conflict.
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

/// How much a transaction sees of others (<https://www.postgresql.org/docs/current/transaction-iso.html>).
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

    /// A gateway that gives these answers in turn, then none, and a clock that only runs while the
    /// client waits for nothing else.
    #[derive(Default)]
    struct Script {
        answers: RefCell<Vec<(u16, &'static str)>>,
        requests: RefCell<Vec<Request<Bytes>>>,
        pauses: RefCell<Vec<Duration>>,
    }

    impl Transport for &Script {
        async fn send(
            &self,
            request: Request<Bytes>,
        ) -> Result<http::Response<Bytes>, TransportError> {
            self.requests.borrow_mut().push(request);
            let Some((status, body)) = self.answers.borrow_mut().pop() else {
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

    fn run(answers: &[(u16, &'static str)]) -> (Result<Rows, Error>, Script) {
        let script = Script {
            answers: RefCell::new(answers.iter().rev().copied().collect()),
            ..Script::default()
        };
        let endpoint = Endpoint::new("http://gateway.test/sql", "postgres://u:secret@h/d").unwrap();
        let outcome = block_on(Client::new(&script, endpoint).query(Statement::new("select 1")));
        (outcome, script)
    }

    #[test]
    fn a_request_is_what_the_gateway_reads() {
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
    fn what_lost_to_another_transaction_is_sent_again() {
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
    fn two_that_lost_to_each_other_wait_for_different_times() {
        let pauses: Vec<_> = (0..8).map(|_| jittered(Duration::from_secs(1))).collect();
        assert!(pauses.iter().any(|pause| pause != &pauses[0]), "{pauses:?}");
    }

    /// Loses every time, and its pauses never end.
    struct Sleepless;

    impl Transport for Sleepless {
        async fn send(&self, _: Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
            let mut response = http::Response::new(Bytes::from(CONFLICT.1));
            *response.status_mut() = http::StatusCode::BAD_REQUEST;
            Ok(response)
        }

        async fn sleep(&self, duration: Duration) {
            if duration < Settings::default().timeout {
                pending().await
            }
        }
    }

    #[test]
    fn when_time_runs_out_between_two_attempts_the_caller_learns_that_nothing_was_done() {
        let endpoint = Endpoint::new("http://gateway.test", "x").unwrap();
        let outcome = block_on(Client::new(Sleepless, endpoint).query(Statement::new("select 1")));
        assert!(matches!(outcome, Err(Error::Conflict(_))), "{outcome:?}");
    }

    #[test]
    fn but_not_for_ever() {
        let (outcome, script) = run(&[CONFLICT; 10]);
        assert!(matches!(outcome, Err(Error::Conflict(_))));
        assert_eq!(script.requests.borrow().len(), 4);
    }

    #[test]
    fn nothing_else_is_sent_again() {
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
    fn without_an_answer_it_gives_up() {
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
    fn neon_is_asked_at_api_in_place_of_the_first_label() {
        let uri = |text: &str| Endpoint::neon(text).map(|endpoint| endpoint.uri.to_string());
        for (connection_string, expected) in [
            (
                "postgres://u:p@ep-cool-1.eu-central-1.aws.neon.tech/d",
                "https://api.eu-central-1.aws.neon.tech/sql",
            ),
            (
                "postgresql://u:p@ep-a-pooler.us-east-2.aws.neon.tech:5432/d?sslmode=require&channel_binding=require",
                "https://api.us-east-2.aws.neon.tech/sql",
            ),
            (
                "postgres://u:a%40b@db.localtest.me?x=@h.y",
                "https://api.localtest.me/sql",
            ),
        ] {
            assert_eq!(uri(connection_string).as_deref(), Ok(expected));
        }
        for none in [
            "",
            "ep-a.aws.neon.tech",
            "https://u:p@ep-a.aws.neon.tech/d",
            "postgres://u:p@/d",
            "postgres://u:p@localhost/d",
            "postgres://u:p@h./d",
            "postgres://u:p@.h.test/d",
            "postgres://u:p@10.0.0.1/d",
            "postgres://u:p@[::1]:5432/d",
            "postgres://u:p@h.a b/d",
        ] {
            assert_eq!(uri(none), Err(EndpointError::NeonHost), "{none}");
        }
    }

    #[test]
    fn an_endpoint_keeps_its_password_to_itself() {
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
