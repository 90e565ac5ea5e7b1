//! The SQL client in a component: runs the cases of `tests/sql-cases` in the guest `sql-client`, through
//! the gateway in the router's process.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::LazyLock;

use reqwest::{Client, Url};
use sql_cases::{PASSWORD, ROLE, SETUP};
use tirage_devstack::postgres::Cluster;
use tirage_postgres::Connection;

use crate::harness::{Application, Router};
use tirage_tests::{Process, binary, unused_address};

const IN_PROCESS: &str = "http://sql.tirage.internal";

/// A database, a router, and a gateway that listens on a socket.
struct Stack {
    router: Router,
    gateway: Process,
    _application: Application,
    _cluster: Cluster,
}

static STACK: LazyLock<Stack> = LazyLock::new(|| {
    let cluster = Cluster::start_temporary().unwrap();
    let superuser = cluster.superuser_url().parse().unwrap();
    // On another thread, since a test's runtime can't block on itself.
    std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut connection = Connection::connect(&superuser).await.unwrap();
            connection.batch_execute(SETUP).await.unwrap();
        });
    })
    .join()
    .unwrap();
    let url = format!(
        "postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/tirage",
        cluster.port()
    );
    let environment = [
        ("DATABASE_URL_SQL_CLIENT", url.as_str()),
        ("MIGRATE_ON_START", "false"),
        ("SQL_GATEWAY_PASSWORD", PASSWORD),
    ];
    let application = Application::new()
        .guest_with(
            "sql-client",
            r#"allowed_outbound_hosts = ["http://sql.tirage.internal", "http://127.0.0.1:*"]"#,
            &format!("database_role = \"{ROLE}\"\ntimeout_ms = 60000"),
        )
        // The same component without a database role.
        .guest_as(
            "no-role",
            "sql-client",
            r#"allowed_outbound_hosts = ["http://sql.tirage.internal"]"#,
            "",
        );
    let router = application.start_with(&["--exit-with-stdin"], &environment);
    Stack {
        gateway: start_gateway(&application, &environment),
        router,
        _application: application,
        _cluster: cluster,
    }
});

/// Starts `tirage sql-gateway`. It ends with this process, by its stdin, since a `static` is never dropped.
fn start_gateway(application: &Application, environment: &[(&str, &str)]) -> Process {
    Process::start(
        Command::new(binary("tirage"))
            .args(["sql-gateway", "--exit-with-stdin"])
            .args(["--listen", "127.0.0.1:0", "--manifest"])
            .arg(application.file("spin.toml"))
            .env_clear()
            .envs(environment.iter().copied()),
    )
}

/// Runs `case` in `guest` against the gateway at `url`, and returns the response.
async fn run(guest: &str, case: &str, url: &str) -> String {
    let stack = &*STACK;
    let unreachable = format!("http://{}", unused_address());
    let connection_string = format!("postgres://{ROLE}:{PASSWORD}@database.test/tirage");
    let url = Url::parse_with_params(
        &stack.router.at(&format!("/{guest}")),
        [
            ("case", case),
            ("url", url),
            ("connection_string", &connection_string),
            ("socket", stack.gateway.url()),
            ("unreachable", &unreachable),
        ],
    )
    .unwrap();
    let response = Client::new().get(url).send().await.unwrap();
    response.text().await.unwrap()
}

macro_rules! tests {
    ($($case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            assert_eq!(run("sql-client", stringify!($case), IN_PROCESS).await, "passed");
        }
    )*};
}

sql_cases::for_each_case!(tests);

#[tokio::test]
async fn a_component_can_use_a_gateway_on_a_socket() {
    let response = run("sql-client", "rows_are_counted", STACK.gateway.url()).await;
    assert_eq!(response, "passed");
}

#[tokio::test]
async fn calls_denied_by_the_policy_are_policy_errors() {
    const DENIED: &str = r#"Err(Policy("ErrorCode::HttpRequestDenied"))"#;
    let not_allowed = run("sql-client", "select", "http://database.test").await;
    assert_eq!(not_allowed, DENIED);
    let private = run("no-role", "select", STACK.gateway.url()).await;
    assert_eq!(private, DENIED);
    let no_role = run("no-role", "select", IN_PROCESS).await;
    assert!(
        no_role.starts_with("Err(Policy(") && no_role.contains("no database_role"),
        "{no_role}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let location = format!("{}/sql", STACK.gateway.url());
    let server = serve_once(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
    ));
    let redirected = run("sql-client", "select", &server).await;
    assert!(redirected.starts_with("Err(Protocol("), "{redirected}");
}

#[tokio::test]
async fn a_connection_that_closes_during_the_response_is_broken() {
    for response in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"] {
        let server = serve_once(response.to_owned());
        let broken = run("sql-client", "select", &server).await;
        assert!(broken.starts_with("Err(Broken("), "{broken}");
    }
}

/// Starts a server that reads one request, sends `response` and closes. Returns its URL.
fn serve_once(response: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.windows(2).any(|end| end == b"]}") {
            let mut part = [0; 1024];
            let read = stream.read(&mut part).unwrap();
            assert_ne!(read, 0, "the request ends early");
            request.extend_from_slice(&part[..read]);
        }
        stream.write_all(response.as_bytes()).unwrap();
    });
    url
}
