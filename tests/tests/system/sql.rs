//! The SQL client on WebAssembly: the cases that `tests/sql-cases` also runs natively, in a component
//! that the router serves, through the gateway in the router's own process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use reqwest::{Client, Url};
use sql_cases::{PASSWORD, ROLE, SETUP};
use tirage_devstack::postgres::Cluster;
use tirage_postgres::Connection;

use crate::harness::{Application, Router};
use tirage_tests::binary;

const IN_PROCESS: &str = "http://sql.tirage.internal";

/// A database, the router before it, and the gateway on a socket of its own.
struct Stack {
    router: Router,
    socket: Gateway,
    _application: Application,
    _cluster: Cluster,
}

static STACK: LazyLock<Stack> = LazyLock::new(|| {
    let cluster = Cluster::start_temporary().unwrap();
    let superuser = cluster.superuser_url().parse().unwrap();
    // Not on the test's own runtime, which can't be waited for from within.
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
        // The same component with no role.
        .guest_as(
            "no-role",
            "sql-client",
            r#"allowed_outbound_hosts = ["http://sql.tirage.internal"]"#,
            "",
        );
    let router = application.start_with(&["--exit-with-stdin"], &environment);
    Stack {
        socket: Gateway::start(&application, &environment),
        router,
        _application: application,
        _cluster: cluster,
    }
});

/// `tirage sql-gateway`, which ends with this process, as the router does: nothing in a `static` is
/// ever dropped.
struct Gateway {
    url: String,
    _child: Child,
}

impl Gateway {
    fn start(application: &Application, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(binary("tirage"))
            .args(["sql-gateway", "--exit-with-stdin"])
            .args(["--listen", "127.0.0.1:0", "--manifest"])
            .arg(application.file("spin.toml"))
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ");
        Self {
            url: url.expect("the gateway starts").to_owned(),
            _child: child,
        }
    }
}

/// What `guest` answers when it runs `case` against the gateway at `url`.
async fn run(guest: &str, case: &str, url: &str) -> String {
    let stack = &*STACK;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let connection_string = format!("postgres://{ROLE}:{PASSWORD}@database.test/tirage");
    let url = Url::parse_with_params(
        &stack.router.at(&format!("/{guest}")),
        [
            ("case", case),
            ("url", url),
            ("connection_string", &connection_string),
            ("socket", &stack.socket.url),
            ("nobody", &nobody),
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
async fn a_component_may_ask_a_gateway_on_a_socket_as_well() {
    let answer = run("sql-client", "rows_are_counted", &STACK.socket.url).await;
    assert_eq!(answer, "passed");
}

#[tokio::test]
async fn what_policy_refuses_is_an_error_of_its_own() {
    let not_allowed = run("sql-client", "policy", "http://database.test").await;
    assert_eq!(not_allowed, "refused: ErrorCode::HttpRequestDenied");
    let private = run("no-role", "policy", &STACK.socket.url).await;
    assert_eq!(private, "refused: ErrorCode::HttpRequestDenied");
    let no_role = run("no-role", "policy", IN_PROCESS).await;
    assert!(no_role.contains("no database_role"), "{no_role}");
}
