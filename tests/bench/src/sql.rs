//! SQL over HTTP beside tokio-postgres with prepared statements, on one database: one statement, and
//! a batch of three in a transaction; in process (as components of a router ask) and over a socket
//! (`tirage sql-gateway`).
//!
//! The peer may have as many connections as the gateway's pool. Its batch is BEGIN, its three
//! statements sent without waiting for each other, COMMIT. It does not clean its sessions after each
//! use, as the gateway does. Over a socket, each client writes a request that was made before, and reads
//! status, length and body of the answer, as load generators do: what an HTTP client takes is not the
//! gateway's.

use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use futures::future::try_join3;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
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

const STATEMENT: &str = "select id, text from measured where id = $1";
const SET_ACCOUNT: &str = "select set_config('tirage.account', $1, true)";
const SINGLE: &str = r#"{"query":"select id, text from measured where id = $1","params":["42"]}"#;
const BATCH: &str = r#"{"queries":[
    {"query":"select set_config('tirage.account', $1, true)","params":["x"]},
    {"query":"select id, text from measured where id = $1","params":["42"]},
    {"query":"select id, text from measured where id = $1","params":["43"]}]}"#;

/// Measures, and prints what was measured, met or not.
///
/// # Errors
/// When something can't be started or answers wrongly.
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
             grant select on measured to public;
             analyze measured",
        )
        .await?;
    let peer = Peer::connect(&cluster.url()).await?;
    let in_process = InProcess::new(config.clone());
    let (_gateway, socket) = Socket::start(&cluster.url(), &config)?;

    println!(
        "{:<10} {:>7}  {:<24} {:>9} {:>9} {:>9}  p50 beside tokio-postgres",
        "", "clients", "", "p50", "p99", "per s"
    );
    for shape in [Shape::Single, Shape::Batch] {
        for clients in CLIENTS {
            let contenders: [&dyn Contender; 3] = [&peer, &in_process, &socket];
            rounds(shape, clients, contenders).await?;
        }
    }
    Ok(())
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Single,
    Batch,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Single => "statement",
            Self::Batch => "batch of 3",
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::Single => SINGLE,
            Self::Batch => BATCH,
        }
    }
}

type Asking = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// A way to ask, for a client that asks again and again.
type Client = Box<dyn FnMut() -> Asking + Send>;

trait Contender {
    fn name(&self) -> &'static str;
    /// The most that its median may be of the peer's.
    fn target(&self) -> Option<f64>;
    fn client(&self, shape: Shape) -> Pin<Box<dyn Future<Output = anyhow::Result<Client>> + '_>>;
}

/// Lets each contender have its turn in every round, in changing order, so that a machine that drifts
/// favours none.
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
            "{:<10} {clients:>7}  {:<24} {:>6.0} µs {:>6.0} µs {:>9.0}  {verdict}",
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
        let mut ask = contender.client(shape).await?;
        running.push(tokio::spawn(async move {
            let mut microseconds = Vec::new();
            loop {
                let asked = Instant::now();
                if asked >= end {
                    return anyhow::Ok(microseconds);
                }
                ask().await?;
                if asked >= begin {
                    microseconds.push(asked.elapsed().as_secs_f64() * 1e6);
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

/// tokio-postgres, each request on a connection of its own from a pool.
struct Peer(Arc<PeerPool>);

struct PeerPool {
    permits: Semaphore,
    idle: Mutex<Vec<PeerConnection>>,
}

struct PeerConnection {
    client: tokio_postgres::Client,
    statement: tokio_postgres::Statement,
    set_account: tokio_postgres::Statement,
}

impl Peer {
    async fn connect(url: &str) -> anyhow::Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            idle.push(PeerConnection {
                statement: client.prepare(STATEMENT).await?,
                set_account: client.prepare(SET_ACCOUNT).await?,
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
                let connection = idle().pop().context("a permit is a connection")?;
                let asked = connection.ask(shape).await;
                idle().push(connection);
                asked
            })
        });
        Box::pin(async { Ok(client) })
    }
}

impl PeerConnection {
    async fn ask(&self, shape: Shape) -> anyhow::Result<()> {
        let row = match shape {
            Shape::Single => self.client.query_one(&self.statement, &[&42_i32]).await?,
            Shape::Batch => {
                self.client.batch_execute("begin").await?;
                let (_, row, _) = try_join3(
                    self.client.query_one(&self.set_account, &[&"x"]),
                    self.client.query_one(&self.statement, &[&42_i32]),
                    self.client.query_one(&self.statement, &[&43_i32]),
                )
                .await?;
                self.client.batch_execute("commit").await?;
                row
            }
        };
        anyhow::ensure!(row.get::<_, &str>(1) == "text 42", "a wrong row");
        Ok(())
    }
}

/// The gateway as a router's components ask it.
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
        let client: Client = Box::new(move || {
            let (gateway, role) = (gateway.clone(), role.clone());
            Box::pin(async move {
                let request = request(shape)?;
                let response = gateway.serve(Identity::Role(&role), request).await;
                check(response).await
            })
        });
        Box::pin(async { Ok(client) })
    }
}

/// The gateway on a socket, in a process of its own.
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

    /// What is written for each request.
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
                    let (stream, answer) = &mut *connection.lock().await;
                    stream.write_all(&request).await?;
                    read_answer(stream, answer).await
                })
            });
            Ok(client)
        })
    }
}

/// Reads one answer whose head says how long its body is, and looks whether it is right.
async fn read_answer(stream: &mut TcpStream, answer: &mut BytesMut) -> anyhow::Result<()> {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    const LENGTH: &str = "content-length: ";
    answer.clear();
    loop {
        anyhow::ensure!(
            stream.read_buf(answer).await? > 0,
            "closed without an answer"
        );
        let Some(head) = answer
            .windows(END_OF_HEAD.len())
            .position(|four| four == END_OF_HEAD)
        else {
            continue;
        };
        let (head, body) = answer.split_at(head + END_OF_HEAD.len());
        let head = std::str::from_utf8(head)?;
        let length = head.lines().find_map(|line| line.strip_prefix(LENGTH));
        let length: usize = length.context("no length")?.parse()?;
        if body.len() >= length {
            anyhow::ensure!(
                head.starts_with("HTTP/1.1 200 ") && is_right(body),
                "answered {answer:?}"
            );
            return Ok(());
        }
    }
}

fn request(shape: Shape) -> anyhow::Result<Request<Full<Bytes>>> {
    Ok(Request::post("/sql")
        .header(header::HOST, "gateway")
        .header("neon-raw-text-output", "true")
        .header("neon-array-mode", "true")
        .body(Full::new(Bytes::from_static(shape.body().as_bytes())))?)
}

/// An answer counts when it is read and right.
async fn check<B>(response: http::Response<B>) -> anyhow::Result<()>
where
    B: http_body::Body,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    anyhow::ensure!(
        status == 200 && is_right(&body),
        "answered {status}: {body:?}"
    );
    Ok(())
}

fn is_right(body: &[u8]) -> bool {
    body.windows(7).any(|window| window == b"text 42")
}
