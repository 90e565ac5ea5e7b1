//! The messages that the relay sends to clients in place of a Postgres server
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use bytes::{BufMut, BytesMut};
use tirage_postgres::{Error, ServerError};

use super::startup::{CancelKey, PROTOCOL};
use crate::failure::Failure;

/// Refuses encryption inside the WebSocket.
pub(super) const NO_ENCRYPTION: &[u8] = b"N";

/// Requests the password in clear text.
pub(super) fn request_password(buffer: &mut BytesMut) {
    message(buffer, b'R', |body| body.put_u32(3));
}

/// Negotiates protocol 3.0, and lists the protocol options of the client that it doesn't have.
pub(super) fn negotiate_protocol(buffer: &mut BytesMut, unsupported: &[String]) {
    message(buffer, b'v', |body| {
        body.put_u32(PROTOCOL);
        body.put_u32(u32::try_from(unsupported.len()).unwrap_or(u32::MAX));
        for name in unsupported {
            put_string(body, name);
        }
    });
}

/// Ends a successful login.
pub(super) fn logged_in(buffer: &mut BytesMut, parameters: &[(String, String)], key: CancelKey) {
    message(buffer, b'R', |body| body.put_u32(0));
    for (name, value) in parameters {
        message(buffer, b'S', |body| {
            put_string(body, name);
            put_string(body, value);
        });
    }
    message(buffer, b'K', |body| {
        body.put_i32(key.process_id);
        body.put_i32(key.secret_key);
    });
    message(buffer, b'Z', |body| body.put_u8(b'I'));
}

/// Returns an error that ends the session.
pub(super) fn fatal(code: &str, text: &str) -> BytesMut {
    let mut buffer = BytesMut::new();
    error(&mut buffer, "FATAL", code, text, &[]);
    buffer
}

/// Returns the error for a refused login: Postgres' own if the client may know it, else the same as for
/// `/sql`.
pub(super) fn refusal(failure: &Failure) -> BytesMut {
    match failure {
        Failure::Connect {
            error: Error::Server(error),
            by_caller: true,
        } => server_error(error),
        Failure::Password(_) => fatal("28P01", &failure.to_string()),
        Failure::Full(_) => fatal("53300", &failure.to_string()),
        // sqlclient_unable_to_establish_sqlconnection
        _ => fatal("08001", &failure.to_string()),
    }
}

fn server_error(server: &ServerError) -> BytesMut {
    let fields = [
        (b'D', &server.detail),
        (b'H', &server.hint),
        (b'P', &server.position),
        (b'p', &server.internal_position),
        (b'q', &server.internal_query),
        (b'W', &server.context),
        (b's', &server.schema),
        (b't', &server.table),
        (b'c', &server.column),
        (b'd', &server.data_type),
        (b'n', &server.constraint),
        (b'F', &server.file),
        (b'L', &server.line),
        (b'R', &server.routine),
    ];
    let mut buffer = BytesMut::new();
    let fields = fields.map(|(kind, value)| (kind, value.as_deref()));
    error(
        &mut buffer,
        &server.severity,
        &server.code,
        &server.message,
        &fields,
    );
    buffer
}

/// Appends an ErrorResponse. `V` is the severity that is never translated.
fn error(
    buffer: &mut BytesMut,
    severity: &str,
    code: &str,
    text: &str,
    fields: &[(u8, Option<&str>)],
) {
    let first = [
        (b'S', Some(severity)),
        (b'V', Some("FATAL")),
        (b'C', Some(code)),
        (b'M', Some(text)),
    ];
    message(buffer, b'E', |body| {
        for (kind, value) in first.iter().chain(fields) {
            if let Some(value) = value {
                body.put_u8(*kind);
                put_string(body, value);
            }
        }
        body.put_u8(0);
    });
}

fn message(buffer: &mut BytesMut, kind: u8, write: impl FnOnce(&mut BytesMut)) {
    let mut body = BytesMut::new();
    write(&mut body);
    buffer.put_u8(kind);
    // These messages are far shorter than 2 GiB, the maximum.
    buffer.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
    buffer.unsplit(body);
}

/// Appends a NUL-terminated string, cut off at the first NUL inside it.
fn put_string(body: &mut BytesMut, text: &str) {
    body.put_slice(text.split('\0').next().unwrap_or_default().as_bytes());
    body.put_u8(0);
}

#[cfg(test)]
mod tests {
    use postgres_protocol::message::backend::Message;

    use super::*;

    #[test]
    fn a_login_can_be_parsed() {
        let mut buffer = BytesMut::new();
        request_password(&mut buffer);
        let key = CancelKey {
            process_id: 7,
            secret_key: -8,
        };
        logged_in(&mut buffer, &[("a".to_owned(), "b".to_owned())], key);
        let mut next = || Message::parse(&mut buffer).unwrap();
        assert!(matches!(
            next(),
            Some(Message::AuthenticationCleartextPassword)
        ));
        assert!(matches!(next(), Some(Message::AuthenticationOk)));
        assert!(matches!(
            next(),
            Some(Message::ParameterStatus(body))
                if body.name().unwrap() == "a" && body.value().unwrap() == "b"
        ));
        assert!(matches!(
            next(),
            Some(Message::BackendKeyData(body))
                if body.process_id() == 7 && body.secret_key() == -8
        ));
        assert!(matches!(next(), Some(Message::ReadyForQuery(body)) if body.status() == b'I'));
        assert!(next().is_none());
    }

    #[test]
    fn an_error_has_its_fields() {
        use fallible_iterator::FallibleIterator as _;

        let mut buffer = refusal(&Failure::Password("me\0or you".to_owned()));
        let Some(Message::ErrorResponse(body)) = Message::parse(&mut buffer).unwrap() else {
            panic!("expected an error");
        };
        let fields: Vec<_> = body
            .fields()
            .map(|field| Ok((field.type_(), field.value_bytes().to_vec())))
            .collect()
            .unwrap();
        let expected = [
            (b'S', &b"FATAL"[..]),
            (b'V', b"FATAL"),
            (b'C', b"28P01"),
            (b'M', b"password authentication failed for user \"me"),
        ];
        assert_eq!(fields, expected.map(|(kind, value)| (kind, value.to_vec())));
        assert!(buffer.is_empty());
    }
}
