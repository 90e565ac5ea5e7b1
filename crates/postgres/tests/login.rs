//! Connecting and logging in: sockets, methods of authentication, modes of TLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Config, Connection, Error};

/// A server with TLS, and with a role for each method of authentication.
static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

struct Server {
    cluster: Cluster,
    authority: PathBuf,
}

impl Server {
    fn start() -> Self {
        let cluster = Cluster::start_temporary().unwrap();
        let data = cluster.data_folder();
        let authority = data.join("authority.pem");
        write_certificates(data, &authority);
        let rules = fs::read_to_string(data.join("pg_hba.conf")).unwrap();
        fs::write(
            data.join("pg_hba.conf"),
            format!(
                "host all clear 127.0.0.1/32 password\nhost all md 127.0.0.1/32 md5\n\
                 host all trusted 127.0.0.1/32 trust\nhostnossl all encrypted all reject\n{rules}"
            ),
        )
        .unwrap();
        // A runtime can't be entered or dropped on the test's thread.
        std::thread::scope(|scope| {
            let set_up = || {
                tokio::runtime::Runtime::new()
                    .unwrap()
                    .block_on(set_up(&cluster))
            };
            scope.spawn(set_up).join().unwrap();
        });
        Self { cluster, authority }
    }

    fn url(&self, credentials: &str, host: &str, parameters: &str) -> Config {
        format!(
            "postgres://{credentials}@{host}:{}/postgres?{parameters}",
            self.cluster.port()
        )
        .parse()
        .unwrap()
    }
}

async fn set_up(cluster: &Cluster) {
    let config: Config = cluster.superuser_url().parse().unwrap();
    let mut connection = Connection::connect(&config).await.unwrap();
    connection
        .batch_execute(
            "create role clear login password 'pass word';
             create role encrypted login password 'pass word';
             create role trusted login;
             set password_encryption = md5;
             create role md login password 'pass word';",
        )
        .await
        .unwrap();
    connection
        .batch_execute("alter system set ssl = on")
        .await
        .unwrap();
    connection
        .batch_execute("select pg_reload_conf()")
        .await
        .unwrap();
    // The server reloads its files some time after the signal.
    let required: Config = format!("{config}?sslmode=require").parse().unwrap();
    let required = required.with_user(config.user(), config.password().cloned());
    for _ in 0..500 {
        if Connection::connect(&required).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server never took its certificate");
}

/// Creates an authority and a certificate for `localhost`.
fn write_certificates(data: &Path, authority: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    fs::write(authority, issuer.pem()).unwrap();
    fs::write(data.join("server.crt"), certificate.pem()).unwrap();
    // Overwrites a file with the owner and mode that Postgres requires.
    fs::copy(data.join("PG_VERSION"), data.join("server.key")).unwrap();
    let owner = fs::metadata(data).unwrap();
    std::os::unix::fs::chown(
        data.join("server.key"),
        Some(std::os::unix::fs::MetadataExt::uid(&owner)),
        Some(std::os::unix::fs::MetadataExt::gid(&owner)),
    )
    .unwrap();
    fs::write(data.join("server.key"), key.serialize_pem()).unwrap();
    fs::set_permissions(
        data.join("server.key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    fs::set_permissions(
        data.join("server.crt"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
}

async fn encrypted(config: &Config) -> Result<bool, Error> {
    let mut connection = Connection::connect(config).await?;
    let outcome = connection
        .execute(
            "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
            &[],
        )
        .await?;
    Ok(outcome.rows[0].text(0) == Some("t"))
}

#[tokio::test]
async fn each_method_of_authentication() {
    for user in ["clear", "md", "encrypted"] {
        let good = SERVER.url(&format!("{user}:pass%20word"), "127.0.0.1", "");
        let connection = Connection::connect(&good).await.unwrap();
        assert!(connection.password_proved_by_login(), "{user}");

        let wrong = SERVER.url(&format!("{user}:password"), "127.0.0.1", "");
        let error = Connection::connect(&wrong).await.unwrap_err();
        let error = error.server().expect("the server refuses");
        assert_eq!(error.code, "28P01");
        assert_eq!(
            error.message,
            format!("password authentication failed for user \"{user}\"")
        );

        let none = SERVER.url(user, "127.0.0.1", "");
        let error = Connection::connect(&none).await.unwrap_err();
        assert!(matches!(error, Error::NoPassword), "{error:?}");
    }
}

#[tokio::test]
async fn trust_proves_nothing() {
    let config = SERVER.url("trusted:whatever", "127.0.0.1", "");
    let connection = Connection::connect(&config).await.unwrap();
    assert!(!connection.password_proved_by_login());
}

#[tokio::test]
async fn an_error_during_the_login_has_its_fields() {
    let config = SERVER
        .url("clear:pass%20word", "127.0.0.1", "")
        .with_database("nowhere");
    let error = Connection::connect(&config).await.unwrap_err();
    assert_eq!(error.server().unwrap().code, "3D000");
}

#[tokio::test]
async fn options_and_name_reach_the_session() {
    let config = SERVER.url(
        "clear:pass%20word",
        "127.0.0.1",
        "options=-c%20search_path%3Delsewhere&application_name=somebody",
    );
    let mut connection = Connection::connect(&config).await.unwrap();
    let outcome = connection
        .execute(
            "select current_setting('search_path'), current_setting('application_name')",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(outcome.rows[0].text(0), Some("elsewhere"));
    assert_eq!(outcome.rows[0].text(1), Some("somebody"));
}

#[tokio::test]
async fn modes_of_tls() {
    let authority = SERVER.authority.display();
    let cases = [
        ("127.0.0.1", "sslmode=disable".to_owned(), Some(false)),
        ("127.0.0.1", "sslmode=prefer".to_owned(), Some(true)),
        // The authority is unknown, which `require` ignores.
        ("127.0.0.1", "sslmode=require".to_owned(), Some(true)),
        // The certificate is valid for `localhost` only.
        (
            "127.0.0.1",
            format!("sslmode=require&sslrootcert={authority}"),
            Some(true),
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca&sslrootcert={authority}"),
            Some(true),
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&sslrootcert={authority}"),
            None,
        ),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={authority}"),
            Some(true),
        ),
        // Only the test's authority has signed this certificate.
        ("localhost", "sslmode=verify-full".to_owned(), None),
        ("localhost", "sslmode=verify-ca".to_owned(), None),
        (
            "localhost",
            "sslmode=verify-full&sslrootcert=/nowhere".to_owned(),
            None,
        ),
    ];
    for (host, parameters, expected) in cases {
        let config = SERVER.url("clear:pass%20word", host, &parameters);
        match (encrypted(&config).await, expected) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected, "{host} {parameters}"),
            (Err(Error::Tls(_)), None) => {}
            (result, _) => panic!("{host} {parameters}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn channel_binding() {
    let bound = |credentials, parameters: &str| {
        let config = SERVER.url(credentials, "127.0.0.1", parameters);
        async move { Connection::connect(&config).await }
    };
    for binding in ["require", "prefer", "disable"] {
        let parameters = format!("sslmode=require&channel_binding={binding}");
        let connection = bound("encrypted:pass%20word", &parameters).await.unwrap();
        assert!(connection.password_proved_by_login());
        let refused = bound("encrypted:wrong", &parameters).await.unwrap_err();
        assert_eq!(refused.server().unwrap().code, "28P01", "{binding}");
    }
    for (credentials, parameters) in [
        // Channel binding needs TLS and SCRAM.
        (
            "tirage_owner:any",
            "sslmode=disable&channel_binding=require",
        ),
        (
            "clear:pass%20word",
            "sslmode=require&channel_binding=require",
        ),
        ("md:pass%20word", "sslmode=require&channel_binding=require"),
        ("trusted", "sslmode=require&channel_binding=require"),
    ] {
        match bound(credentials, parameters).await {
            Err(Error::Authentication(reason)) => {
                assert!(reason.contains("channel binding is required"), "{reason}");
            }
            result => panic!("{credentials} {parameters}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_cancel_request_uses_tls() {
    let config = SERVER.url("encrypted:pass%20word", "127.0.0.1", "sslmode=require");
    let mut connection = Connection::connect(&config).await.unwrap();
    let canceller = connection.cancel_token();
    let (outcome, cancelled) =
        tokio::join!(connection.execute("select pg_sleep(60)", &[]), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            canceller.cancel(Duration::from_secs(5)).await
        });
    cancelled.unwrap();
    assert_eq!(outcome.unwrap_err().server().unwrap().code, "57014");
}

#[tokio::test]
async fn a_unix_socket_needs_no_tls() {
    let folder = SERVER.cluster.socket_folder().unwrap().display();
    let url = SERVER.url(
        "clear:pass%20word",
        "",
        &format!("host={folder}&sslmode=verify-full"),
    );
    // The socket requires SCRAM as well, so the login proves the password.
    let mut connection = Connection::connect(&url).await.unwrap();
    assert!(connection.password_proved_by_login());
    let outcome = connection
        .execute("select inet_client_addr() is null", &[])
        .await
        .unwrap();
    assert_eq!(outcome.rows[0].text(0), Some("t"));
}

#[tokio::test]
async fn a_server_without_tls_is_refused_if_tls_is_required() {
    let cluster = tokio::task::spawn_blocking(Cluster::start_temporary)
        .await
        .unwrap()
        .unwrap();
    for mode in ["require", "verify-full"] {
        let config: Config = format!("{}?sslmode={mode}", cluster.url()).parse().unwrap();
        let error = Connection::connect(&config).await.unwrap_err();
        assert!(matches!(error, Error::TlsRefused), "{error:?}");
    }
    let config: Config = format!("{}?sslmode=prefer", cluster.url()).parse().unwrap();
    assert!(!encrypted(&config).await.unwrap());
}

#[tokio::test]
async fn an_unreachable_and_a_silent_server_give_different_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap();
    let config: Config = format!("postgres://me@{silent}/db?connect_timeout=1")
        .parse()
        .unwrap();
    let error = Connection::connect(&config).await.unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout(_)), "{error:?}");
    drop(listener);
    let error = Connection::connect(&config).await.unwrap_err();
    match &error {
        Error::Unreachable { source, .. } => {
            assert_eq!(source.kind(), ErrorKind::ConnectionRefused);
        }
        _ => panic!("{error:?}"),
    }
    assert!(error.is_unavailable());
}
