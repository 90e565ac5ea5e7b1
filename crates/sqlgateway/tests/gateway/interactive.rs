//! A client of interactive sessions that controls every byte.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator as _;
use futures::{SinkExt as _, StreamExt as _};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async};

/// The SQLSTATE and the message of an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SqlError(pub(crate) String, pub(crate) String);

/// The values of a result's rows.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// A WebSocket to the gateway.
pub(crate) struct Interactive {
    pub(crate) socket: WebSocketStream<TcpStream>,
    unread: BytesMut,
    /// Close code of the gateway; `Some(None)` if it closed without one.
    pub(crate) closed: Option<Option<u16>>,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) key: (i32, i32),
}

impl Interactive {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _response) = client_async(format!("ws://{address}/v2"), stream)
            .await
            .unwrap();
        Self {
            socket,
            unread: BytesMut::new(),
            closed: None,
            parameters: Vec::new(),
            key: (0, 0),
        }
    }

    /// Opens a session as Neon's driver does, sending the password unasked.
    pub(crate) async fn log_in(
        address: SocketAddr,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Self, SqlError> {
        let mut session = Self::open(address).await;
        let settings = [("user", user), ("database", database)];
        let mut bytes = startup(&settings);
        bytes.extend_from_slice(&password_message(password));
        session.send(bytes).await;
        session.welcomed().await?;
        Ok(session)
    }

    /// Reads the replies to a login.
    pub(crate) async fn welcomed(&mut self) -> Result<(), SqlError> {
        loop {
            match self.message().await {
                Some(Message::AuthenticationCleartextPassword | Message::AuthenticationOk) => {}
                Some(Message::ParameterStatus(body)) => self.parameters.push((
                    body.name().unwrap().to_owned(),
                    body.value().unwrap().to_owned(),
                )),
                Some(Message::BackendKeyData(body)) => {
                    self.key = (body.process_id(), body.secret_key());
                }
                Some(Message::ReadyForQuery(body)) => {
                    assert_eq!(body.status(), b'I');
                    return Ok(());
                }
                Some(Message::ErrorResponse(body)) => return Err(sql_error(body.fields())),
                _ => panic!("not a login: closed {:?}", self.closed),
            }
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl Into<Bytes>) {
        self.socket.send(Frame::Binary(bytes.into())).await.unwrap();
    }

    /// Returns the server's next message, or `None` after the gateway has closed.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.unread).unwrap() {
                return Some(message);
            }
            let bytes = self.bytes().await?;
            self.unread.extend_from_slice(&bytes);
        }
    }

    /// Returns the next bytes, or `None` after the gateway has closed.
    pub(crate) async fn bytes(&mut self) -> Option<Bytes> {
        loop {
            match self.socket.next().await {
                Some(Ok(Frame::Binary(bytes))) => return Some(bytes),
                Some(Ok(Frame::Close(frame))) => {
                    self.closed = Some(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(tungstenite::Error::Io(_) | tungstenite::Error::Protocol(_))) | None => {
                    self.closed.get_or_insert(None);
                    return None;
                }
                Some(Err(other)) => panic!("{other}"),
            }
        }
    }

    pub(crate) async fn query(&mut self, statement: &str) -> Result<Rows, SqlError> {
        self.send(query(statement)).await;
        self.result().await
    }

    /// Reads to the next ReadyForQuery, or to the end.
    pub(crate) async fn result(&mut self) -> Result<Rows, SqlError> {
        let mut rows = Ok(Vec::new());
        while let Some(message) = self.message().await {
            match message {
                Message::DataRow(body) => {
                    let values = body
                        .ranges()
                        .map(|range| {
                            Ok(range.map(|range| {
                                String::from_utf8(body.buffer()[range].to_vec()).unwrap()
                            }))
                        })
                        .collect()
                        .unwrap();
                    rows.as_mut()
                        .map(|rows: &mut Rows| rows.push(values))
                        .unwrap();
                }
                Message::ErrorResponse(body) => rows = Err(sql_error(body.fields())),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        rows
    }

    /// Returns the only value of the only row.
    pub(crate) async fn value(&mut self, statement: &str) -> String {
        let rows = self.query(statement).await.unwrap();
        let [row] = rows.as_slice() else {
            panic!("{statement}: {rows:?}");
        };
        row[0].clone().unwrap()
    }

    /// Reads until the gateway closes. Returns the last error and the close code.
    pub(crate) async fn end(&mut self) -> (Option<SqlError>, Option<u16>) {
        let mut error = None;
        while let Some(message) = self.message().await {
            if let Message::ErrorResponse(body) = message {
                error = Some(sql_error(body.fields()));
            }
        }
        (error, self.closed.flatten())
    }
}

pub(crate) fn startup(settings: &[(&str, &str)]) -> BytesMut {
    let mut bytes = BytesMut::new();
    frontend::startup_message(settings.iter().copied(), &mut bytes).unwrap();
    bytes
}

pub(crate) fn password_message(password: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    frontend::password_message(password.as_bytes(), &mut bytes).unwrap();
    bytes
}

pub(crate) fn query(statement: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    frontend::query(statement, &mut bytes).unwrap();
    bytes
}

fn sql_error(mut fields: ErrorFields<'_>) -> SqlError {
    let mut error = SqlError(String::new(), String::new());
    while let Some(field) = fields.next().unwrap() {
        let value = String::from_utf8(field.value_bytes().to_vec()).unwrap();
        match field.type_() {
            b'C' => error.0 = value,
            b'M' => error.1 = value,
            _ => {}
        }
    }
    error
}
