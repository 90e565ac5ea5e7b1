//! `bench sql`: the SQL gateway beside tokio-postgres with prepared statements, on one database.
//!
//! First what the functions send: a batch of a scope (`set_config`) and one select, and of a scope and one
//! insert. Users wait for these. A read-only batch takes the gateway one round trip to Postgres, one that
//! writes takes two; tokio-postgres takes three for a transaction (BEGIN, the pipelined statements,
//! COMMIT). Then a scope and two selects, for comparison with earlier runs. Single statements come last,
//! because no function sends them.
//!
//! The peer has as many connections as the gateway's pool. It doesn't clean its sessions after each use,
//! which the gateway does.
//!
//! In process, a client creates the request and reads the response as the router's components do. Over a
//! socket, each client writes a prebuilt request and reads status, length and body of the response, as load
//! generators do, so that the time of an HTTP client isn't measured.

use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use futures::future::{try_join, try_join3};
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Config, Connection};
use tirage_sqlgateway::{Gateway, Identity, Role, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::processes::{Running, beside_this, listening_address};
use crate::statistics::{at_most, median, percentile, range};

const CLIENTS: [usize; 3] = [1, 16, 64];
const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(300);
const ROUND: Duration = Duration::from_millis(1500);
const CONNECTIONS: usize = 20;

const IN_PROCESS_TARGET: f64 = 1.3;
const SOCKET_TARGET: f64 = 2.0;

const SCOPE: &str = "select set_config('tirage.workspace', $1, true)";
const SELECT: &str = "select id, text from measured where id = $1";
const INSERT: &str = "insert into written (text) values ($1) returning id, text";

/// Measures and prints the results, with the targets that are met and missed.
///
/// # Errors
/// If a server can't be started or a response is wrong.
pub(crate) fn run() -> anyhow::Result<()> {
    let cluster = Cluster::start_temporary().context("cannot start Postgres")?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(compare(&cluster))
}

async fn compare(cluster: &Cluster) -> anyhow::Result<()> {
    let config: Config = cluster.url().parse()?;
    Connection::connect(&cluster.superuser_url().parse()?)
        .await?
        .batch_execute(
            "create table measured (id int primary key, text text);
             insert into measured select n, 'text ' || n from generate_series(1, 1000) n;
             create table written (id bigserial primary key, text text);
             grant select on measured to public;
             grant select, insert on written to public;
             grant usage on sequence written_id_seq to public;
             analyze measured",
        )
        .await?;
    let peer = Peer::connect(&cluster.url()).await?;
    let in_process = InProcess::new(config.clone());
    let (_gateway, socket) = Socket::start(&cluster.url(), &config)?;

    println!(
        "{:<18} {:>7}  {:<24} {:>9} {:>9} {:>9}  p50 beside tokio-postgres",
        "", "clients", "", "p50", "p99", "per s"
    );
    for shape in [Shape::Read, Shape::Write, Shape::ReadTwo, Shape::Single] {
        for clients in CLIENTS {
            let contenders: [&dyn Contender; 3] = [&peer, &in_process, &socket];
            rounds(shape, clients, contenders).await?;
        }
    }
    Ok(())
}

/// The statements of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A scope and one select.
    Read,
    /// A scope and one insert.
    Write,
    /// A scope and two selects.
    ReadTwo,
    /// One select.
    Single,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "scope + select",
            Self::Write => "scope + insert",
            Self::ReadTwo => "scope + 2 selects",
            Self::Single => "one select",
        }
    }

    fn body(self) -> String {
        let query = |query: &str, parameter: &str| json!({"query": query, "params": [parameter]});
        let scope = query(SCOPE, "x");
        match self {
            Self::Read => json!({"queries": [scope, query(SELECT, "42")]}),
            Self::Write => json!({"queries": [scope, query(INSERT, "text 42")]}),
            Self::ReadTwo => {
                json!({"queries": [scope, query(SELECT, "42"), query(SELECT, "43")]})
            }
            Self::Single => query(SELECT, "42"),
        }
        .to_string()
    }
}

type Response = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// A client that sends one request after another.
type Client = Box<dyn FnMut() -> Response + Send>;

trait Contender {
    fn name(&self) -> &'static str;
    /// Maximum ratio of its median to the peer's.
    fn target(&self) -> Option<f64>;
    fn client(&self, shape: Shape) -> Pin<Box<dyn Future<Output = anyhow::Result<Client>> + '_>>;
}

/// Measures each contender once per round, in changing order, so that changes of the machine's speed affect
/// all of them alike.
async fn rounds(
    shape: Shape,
    clients: usize,
    contenders: [&dyn Contender; 3],
) -> anyhow::Result<()> {
    let mut measured = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for turn in 0..contenders.len() {
            let which = (round + turn) % contenders.len();
            if let (Some(contender), Some(measured)) =
                (contenders.get(which), measured.get_mut(which))
            {
                measured.push(measure(*contender, shape, clients).await?);
            }
        }
    }
    let [peer, ..] = &measured;
    for (contender, measured_here) in contenders.iter().zip(&measured) {
        let each = |figure: fn(&Figures) -> f64| {
            median(&measured_here.iter().map(figure).collect::<Vec<_>>())
        };
        let ratios: Vec<_> = measured_here
            .iter()
            .zip(peer)
            .map(|(ours, theirs)| ours.p50 / theirs.p50)
            .collect();
        let verdict = contender.target().map_or_else(String::new, |target| {
            let ratio = median(&ratios);
            format!(
                "{ratio:.2} ({}); target {target}: {}",
                range(&ratios),
                at_most(ratio, target)
            )
        });
        println!(
            "{:<18} {clients:>7}  {:<24} {:>6.0} µs {:>6.0} µs {:>9.0}  {verdict}",
            shape.name(),
            contender.name(),
            each(|figures| figures.p50),
            each(|figures| figures.p99),
            each(|figures| figures.per_second)
        );
    }
    Ok(())
}

struct Figures {
    p50: f64,
    p99: f64,
    per_second: f64,
}

async fn measure(
    contender: &dyn Contender,
    shape: Shape,
    clients: usize,
) -> anyhow::Result<Figures> {
    let begin = Instant::now() + WARM_UP;
    let end = begin + ROUND;
    let mut running = Vec::new();
    for _ in 0..clients {
        let mut send = contender.client(shape).await?;
        running.push(tokio::spawn(async move {
            let mut microseconds = Vec::new();
            loop {
                let sent = Instant::now();
                if sent >= end {
                    return anyhow::Ok(microseconds);
                }
                send().await?;
                if sent >= begin {
                    microseconds.push(sent.elapsed().as_secs_f64() * 1e6);
                }
            }
        }));
    }
    let mut microseconds = Vec::new();
    for client in running {
        microseconds.extend(client.await??);
    }
    microseconds.sort_by(f64::total_cmp);
    Ok(Figures {
        p50: percentile(&microseconds, 50),
        p99: percentile(&microseconds, 99),
        per_second: microseconds.len() as f64 / ROUND.as_secs_f64(),
    })
}

/// tokio-postgres with a pool. Each request takes a connection.
struct Peer(Arc<PeerPool>);

struct PeerPool {
    permits: Semaphore,
    idle: Mutex<Vec<PeerConnection>>,
}

struct PeerConnection {
    client: tokio_postgres::Client,
    scope: tokio_postgres::Statement,
    select: tokio_postgres::Statement,
    insert: tokio_postgres::Statement,
}

impl Peer {
    async fn connect(url: &str) -> anyhow::Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            idle.push(PeerConnection {
                scope: client.prepare(SCOPE).await?,
                select: client.prepare(SELECT).await?,
                insert: client.prepare(INSERT).await?,
                client,
            });
        }
        Ok(Self(Arc::new(PeerPool {
            permits: Semaphore::new(CONNECTIONS),
            idle: Mutex::new(idle),
        })))
    }
}

impl Contender for Peer {
    fn name(&self) -> &'static str {
        "tokio-postgres, prepared"
    }

    fn target(&self) -> Option<f64> {
        None
    }

    fn client(&self, shape: Shape) -> Pin<Box<dyn Future<Output = anyhow::Result<Client>> + '_>> {
        let pool = Arc::clone(&self.0);
        let client: Client = Box::new(move || {
            let pool = Arc::clone(&pool);
            Box::pin(async move {
                let _permit = pool.permits.acquire().await?;
                let idle = || pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
                let connection = idle().pop().context("no connection for the permit")?;
                let result = connection.send(shape).await;
                idle().push(connection);
                result
            })
        });
        Box::pin(async { Ok(client) })
    }
}

impl PeerConnection {
    async fn send(&self, shape: Shape) -> anyhow::Result<()> {
        let client = &self.client;
        let row = if shape == Shape::Single {
            client.query_one(&self.select, &[&42_i32]).await?
        } else {
            client.batch_execute("begin").await?;
            let scope = client.query_one(&self.scope, &[&"x"]);
            let select = client.query_one(&self.select, &[&42_i32]);
            let row = match shape {
                Shape::Write => {
                    let insert = client.query_one(&self.insert, &[&"text 42"]);
                    try_join(scope, insert).await?.1
                }
                Shape::ReadTwo => {
                    let another = client.query_one(&self.select, &[&43_i32]);
                    try_join3(scope, select, another).await?.1
                }
                Shape::Read | Shape::Single => try_join(scope, select).await?.1,
            };
            client.batch_execute("commit").await?;
            row
        };
        anyhow::ensure!(row.get::<_, &str>(1) == "text 42", "unexpected row");
        Ok(())
    }
}

/// The gateway in process, as components use it.
struct InProcess {
    gateway: Gateway,
    role: Role,
}

impl InProcess {
    fn new(config: Config) -> Self {
        let gateway = Gateway::new(Settings {
            max_connections: CONNECTIONS,
            ..Settings::default()
        });
        Self {
            role: gateway.role(config),
            gateway,
        }
    }
}

impl Contender for InProcess {
    fn name(&self) -> &'static str {
        "in process"
    }

    fn target(&self) -> Option<f64> {
        Some(IN_PROCESS_TARGET)
    }

    fn client(&self, shape: Shape) -> Pin<Box<dyn Future<Output = anyhow::Result<Client>> + '_>> {
        let (gateway, role) = (self.gateway.clone(), self.role.clone());
        let body = Bytes::from(shape.body());
        let client: Client = Box::new(move || {
            let (gateway, role, body) = (gateway.clone(), role.clone(), body.clone());
            Box::pin(async move {
                let request = request(body)?;
                let response = gateway.serve(Identity::Role(&role), request).await;
                check(response).await
            })
        });
        Box::pin(async { Ok(client) })
    }
}

/// The gateway on a socket, in another process.
struct Socket {
    address: std::net::SocketAddr,
    connection_string: String,
}

impl Socket {
    fn start(url: &str, config: &Config) -> anyhow::Result<(Running, Self)> {
        let mut command = Command::new(beside_this("tirage"));
        command
            .args(["sql-gateway", "--listen", "127.0.0.1:0"])
            .env_clear()
            .env("DATABASE_URL", url)
            .env("DATABASE_POOL_SIZE", CONNECTIONS.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut running = Running(command.spawn()?);
        let address = listening_address(&mut running.0)?;
        let connection_string = format!(
            "postgres://{}@gateway/{}",
            url.split_once("//")
                .and_then(|(_, rest)| rest.split_once('@'))
                .context("the address has credentials")?
                .0,
            config.database()
        );
        Ok((
            running,
            Self {
                address,
                connection_string,
            },
        ))
    }

    /// Returns the bytes of a request.
    fn request(&self, shape: Shape) -> Bytes {
        let body = shape.body();
        format!(
            "POST /sql HTTP/1.1\r\nhost: gateway\r\nneon-connection-string: {}\r\n\
             neon-raw-text-output: true\r\nneon-array-mode: true\r\ncontent-length: {}\r\n\r\n{body}",
            self.connection_string,
            body.len()
        )
        .into()
    }
}

impl Contender for Socket {
    fn name(&self) -> &'static str {
        "over a socket"
    }

    fn target(&self) -> Option<f64> {
        Some(SOCKET_TARGET)
    }

    fn client(&self, shape: Shape) -> Pin<Box<dyn Future<Output = anyhow::Result<Client>> + '_>> {
        Box::pin(async move {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let connection = Arc::new(tokio::sync::Mutex::new((stream, BytesMut::new())));
            let request = self.request(shape);
            let client: Client = Box::new(move || {
                let (connection, request) = (Arc::clone(&connection), request.clone());
                Box::pin(async move {
                    let (stream, response) = &mut *connection.lock().await;
                    stream.write_all(&request).await?;
                    read_response(stream, response).await
                })
            });
            Ok(client)
        })
    }
}

/// Reads one response with a content-length, and checks it.
async fn read_response(stream: &mut TcpStream, response: &mut BytesMut) -> anyhow::Result<()> {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    const LENGTH: &str = "content-length: ";
    response.clear();
    loop {
        anyhow::ensure!(
            stream.read_buf(response).await? > 0,
            "closed without a response"
        );
        let Some(head) = response
            .windows(END_OF_HEAD.len())
            .position(|four| four == END_OF_HEAD)
        else {
            continue;
        };
        let (head, body) = response.split_at(head + END_OF_HEAD.len());
        let head = std::str::from_utf8(head)?;
        let length = head.lines().find_map(|line| line.strip_prefix(LENGTH));
        let length: usize = length.context("no content-length")?.parse()?;
        if body.len() >= length {
            anyhow::ensure!(
                head.starts_with("HTTP/1.1 200 ") && is_expected(body),
                "unexpected response {response:?}"
            );
            return Ok(());
        }
    }
}

fn request(body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
    Ok(Request::post("/sql")
        .header(header::HOST, "gateway")
        .header("neon-raw-text-output", "true")
        .header("neon-array-mode", "true")
        .body(Full::new(body))?)
}

/// Reads a response and checks it.
async fn check<B>(response: http::Response<B>) -> anyhow::Result<()>
where
    B: http_body::Body,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    anyhow::ensure!(
        status == 200 && is_expected(&body),
        "unexpected response {status}: {body:?}"
    );
    Ok(())
}

fn is_expected(body: &[u8]) -> bool {
    body.windows(7).any(|window| window == b"text 42")
}
