//! The start of a session: who we are, and proof of it.
//!
//! Supported are what Postgres servers and poolers ask for today: nothing (`trust`, `peer`), a
//! cleartext password, MD5, and SCRAM-SHA-256 (RFC 7677), where the server proves that it knows the
//! password too. Channel binding is not offered.

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use crate::connection::{Connection, unexpected};
use crate::{Config, Error, Password, ServerError};

/// Brings a fresh stream to the point where statements can be sent.
pub(crate) async fn start(connection: &mut Connection, config: &Config) -> Result<(), Error> {
    let mut parameters = vec![
        ("user", config.user()),
        ("database", config.database()),
        ("application_name", config.application_name()),
        ("client_encoding", "UTF8"),
    ];
    parameters.extend(config.options().map(|options| ("options", options)));
    connection.write(|buffer| frontend::startup_message(parameters, buffer))?;
    authenticate(connection, config).await?;
    loop {
        match message(connection).await? {
            Message::BackendKeyData(key) => {
                connection.set_cancel_key(key.process_id(), key.secret_key());
            }
            Message::ParameterStatus(_) => {}
            Message::ReadyForQuery(body) => return connection.became_ready(&body),
            other => return Err(unexpected(&other)),
        }
    }
}

async fn authenticate(connection: &mut Connection, config: &Config) -> Result<(), Error> {
    loop {
        match message(connection).await? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => {
                send_password(connection, password(config)?.as_bytes())?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(
                    config.user().as_bytes(),
                    password(config)?.as_bytes(),
                    body.salt(),
                );
                send_password(connection, hash.as_bytes())?;
            }
            Message::AuthenticationSasl(body) => {
                scram(connection, &body, password(config)?).await?;
            }
            Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential
            | Message::AuthenticationGss
            | Message::AuthenticationSspi => {
                return Err(Error::Authentication(
                    "the server asks for a method other than a password".to_owned(),
                ));
            }
            other => return Err(unexpected(&other)),
        }
    }
}

async fn scram(
    connection: &mut Connection,
    offer: &AuthenticationSaslBody,
    password: &Password,
) -> Result<(), Error> {
    let wrong = |error: std::io::Error| Error::Authentication(error.to_string());
    if !offer
        .mechanisms()
        .any(|name| Ok(name == SCRAM_SHA_256))
        .map_err(wrong)?
    {
        return Err(Error::Authentication(
            "the server does not offer SCRAM-SHA-256".to_owned(),
        ));
    }
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    connection
        .write(|buffer| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), buffer))?;
    match message(connection).await? {
        Message::AuthenticationSaslContinue(body) => scram.update(body.data()).map_err(wrong)?,
        other => return Err(unexpected(&other)),
    }
    connection.write(|buffer| frontend::sasl_response(scram.message(), buffer))?;
    match message(connection).await? {
        Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(wrong)?,
        other => return Err(unexpected(&other)),
    }
    connection.proved_password();
    Ok(())
}

fn send_password(connection: &mut Connection, password: &[u8]) -> Result<(), Error> {
    connection.proved_password();
    connection.write(|buffer| frontend::password_message(password, buffer))
}

fn password(config: &Config) -> Result<&Password, Error> {
    config.password().ok_or(Error::NoPassword)
}

/// The next message, where errors are the server's refusal and notices pass by.
async fn message(connection: &mut Connection) -> Result<Message, Error> {
    loop {
        match connection.message().await? {
            Message::ErrorResponse(body) => {
                return Err(Error::Server(Box::new(ServerError::read(body.fields()))));
            }
            Message::NoticeResponse(_) => {}
            other => return Ok(other),
        }
    }
}
