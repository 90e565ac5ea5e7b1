//! The cases natively: over a socket, plain and encrypted, to a gateway before a real Postgres.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sql_cases::{PASSWORD, Place, ROLE, SETUP};
use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Config, Connection, Password};
use tirage_sqlgateway::{Accounts, Gateway, Settings, serve_on};
use tirage_sqlhttp::{
    Authorities, Client, Endpoint, Error, Native, NativeSettings, Statement, Transport,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A gateway, and the database behind it, that all tests share.
struct Server {
    address: SocketAddr,
    _cluster: Cluster,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let cluster = Cluster::start_temporary().unwrap();
    let superuser: Config = cluster.superuser_url().parse().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    // A runtime of its own: each test's ends with the test.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut connection = Connection::connect(&superuser).await.unwrap();
            connection.batch_execute(SETUP).await.unwrap();
            let role = superuser.with_user(ROLE, Some(Password::new(PASSWORD)));
            let accounts = Accounts::own([(Password::new(PASSWORD), role)]);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let gateway = Gateway::new(Settings::default());
            serve_on(listener, gateway, accounts, pending()).await
        })
    });
    Server {
        address: receiver.recv().unwrap(),
        _cluster: cluster,
    }
});

fn connection_string(password: &str) -> String {
    format!("postgres://{ROLE}:{password}@database.test/tirage")
}

fn place() -> Place<Native> {
    let endpoint = |address: SocketAddr, password: &str| {
        Endpoint::new(&format!("http://{address}"), &connection_string(password)).unwrap()
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Place {
        transport: |max_answer_bytes| {
            Native::new(NativeSettings {
                max_answer_bytes,
                ..NativeSettings::default()
            })
            .unwrap()
        },
        endpoint: endpoint(SERVER.address, PASSWORD),
        wrong_password: endpoint(SERVER.address, "wrong"),
        nobody: endpoint(free.local_addr().unwrap(), PASSWORD),
    }
}

macro_rules! tests {
    ($($case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            if let Err(error) = sql_cases::run(stringify!($case), &place()).await {
                panic!("{error:#}");
            }
        }
    )*};
}

sql_cases::for_each_case!(tests);

#[tokio::test]
async fn calls_may_be_spawned() {
    let place = place();
    let client = Client::new((place.transport)(1000), place.endpoint);
    tokio::spawn(async move { client.query(Statement::new("select 1")).await })
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn connections_are_used_again() {
    let (address, connections) = proxy(None).await;
    let endpoint = Endpoint::new(&format!("http://{address}"), &connection_string(PASSWORD));
    let client = Client::new(
        Native::new(NativeSettings::default()).unwrap(),
        endpoint.unwrap(),
    );
    for _ in 0..5 {
        client.query(Statement::new("select 1")).await.unwrap();
    }
    assert_eq!(connections.load(), 1);
}

/// A certificate authority, in PEM, and a server that it vouches for as `localhost`.
fn authority(protocols: &[&str]) -> (Vec<u8>, TlsAcceptor) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);

    let server_key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .signed_by(&server_key, &issuer)
        .unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(
        tokio_rustls::rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![server.der().clone()],
        PrivateKeyDer::try_from(server_key.serialize_der()).unwrap(),
    )
    .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    (
        certificate.pem().into_bytes(),
        TlsAcceptor::from(Arc::new(config)),
    )
}

#[derive(Clone, Default)]
struct Count(Arc<std::sync::atomic::AtomicUsize>);

impl Count {
    fn load(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Passes connections on to the gateway, and counts them.
async fn proxy(tls: Option<TlsAcceptor>) -> (SocketAddr, Count) {
    let gateway = SERVER.address;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Count::default();
    tokio::spawn({
        let count = count.clone();
        async move {
            while let Ok((mut client, _)) = listener.accept().await {
                count.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let tls = tls.clone();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(gateway).await?;
                    match tls {
                        None => tokio::io::copy_bidirectional(&mut client, &mut server).await,
                        Some(tls) => {
                            let mut client = tls.accept(client).await?;
                            tokio::io::copy_bidirectional(&mut client, &mut server).await
                        }
                    }
                });
            }
        }
    });
    (address, count)
}

async fn ask(transport: Native, url: &str) -> Result<i32, Error> {
    let endpoint = Endpoint::new(url, &connection_string(PASSWORD)).unwrap();
    let rows = Client::new(transport, endpoint)
        .query(Statement::new("select 42 as n"))
        .await?;
    rows.single()?.get("n")
}

fn trusting(pem: &[u8]) -> Native {
    Native::new(NativeSettings {
        authorities: Authorities::Only(pem.to_vec()),
        ..NativeSettings::default()
    })
    .unwrap()
}

#[tokio::test]
async fn an_address_with_https_is_asked_encrypted_in_both_versions_of_http() {
    for protocols in [&["h2", "http/1.1"][..], &["http/1.1"], &["h2"], &[]] {
        let (pem, tls) = authority(protocols);
        let (address, _) = proxy(Some(tls)).await;
        let url = format!("https://localhost:{}", address.port());
        assert_eq!(ask(trusting(&pem), &url).await, Ok(42), "{protocols:?}");
    }
}

#[tokio::test]
async fn a_server_that_nobody_trusted_vouches_for_learns_nothing() {
    let (pem, tls) = authority(&[]);
    let (other, _) = authority(&[]);
    let (address, _) = proxy(Some(tls)).await;
    let url = format!("https://localhost:{}", address.port());
    // Another name than the certificate's.
    let misnamed = format!("https://127.0.0.1:{}", address.port());
    for (transport, url) in [
        (trusting(&other), &url),
        (Native::new(NativeSettings::default()).unwrap(), &url),
        (trusting(&pem), &misnamed),
    ] {
        let refused = ask(transport, url).await;
        let Err(Error::Unavailable(reason)) = &refused else {
            panic!("{refused:?}");
        };
        assert!(reason.contains("certificate"), "{reason}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_not_spoken_to_without() {
    let (pem, _) = authority(&[]);
    let (address, _) = proxy(None).await;
    let refused = ask(
        trusting(&pem),
        &format!("https://localhost:{}", address.port()),
    )
    .await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (gateway, connections) = proxy(None).await;
    let address = canned(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{gateway}/sql\r\ncontent-length: 0\r\n\r\n"
    ))
    .await;
    let refused = ask(trusting_usual(), &format!("http://{address}")).await;
    assert!(matches!(refused, Err(Error::Protocol(_))), "{refused:?}");
    assert_eq!(connections.load(), 0);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_leaves_it_open_what_was_done() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"] {
        let address = canned(answer.to_owned()).await;
        let broken = ask(trusting_usual(), &format!("http://{address}")).await;
        assert!(matches!(broken, Err(Error::Broken(_))), "{broken:?}");
    }
}

fn trusting_usual() -> Native {
    Native::new(NativeSettings::default()).unwrap()
}

/// Reads a request, says this, and closes.
async fn canned(answer: String) -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _read = stream.read(&mut [0; 4096]).await;
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_name_without_a_server_in_time_is_unavailable() {
    // A listener whose queue is full: nobody accepts, and no connection comes about any more.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let connecting = TcpStream::connect(address);
        let patience = std::time::Duration::from_millis(200);
        match tokio::time::timeout(patience, connecting).await {
            Ok(connected) => waiting.push(connected.unwrap()),
            Err(_full) => break,
        }
    }
    assert!(waiting.len() < 8, "the queue never fills");
    let transport = Native::new(NativeSettings {
        connect_timeout: std::time::Duration::from_millis(100),
        ..NativeSettings::default()
    })
    .unwrap();
    let refused = ask(transport, &format!("http://{address}")).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn transports_are_as_patient_as_they_are_told() {
    let begin = tokio::time::Instant::now();
    trusting_usual()
        .sleep(std::time::Duration::from_millis(20))
        .await;
    assert!(begin.elapsed() >= std::time::Duration::from_millis(20));
}
