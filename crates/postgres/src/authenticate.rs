//! The startup of a session and the login.
//!
//! Supported methods are those of today's servers and poolers: none (`trust`, `peer`), a cleartext
//! password, MD5, and SCRAM-SHA-256 (RFC 7677), with which the server proves that it knows the password
//! too. Over TLS, SCRAM uses channel binding if the server offers it.

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use crate::config::ChannelBinding;
use crate::connection::{Connection, unexpected};
use crate::{Config, Error, Password, ServerError};

/// Logs in on a new stream. Returns the parameters that the server reports, in its order.
pub(crate) async fn start(
    connection: &mut Connection,
    config: &Config,
    settings: &[(String, String)],
) -> Result<Vec<(String, String)>, Error> {
    let options = options(config, settings);
    let mut startup = vec![
        ("user", config.user()),
        ("database", config.database()),
        ("application_name", &*config.application_name),
        ("client_encoding", "UTF8"),
    ];
    startup.extend(options.as_deref().map(|options| ("options", options)));
    // Of several values, the server uses the last.
    startup.extend(
        settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| *name != "options"),
    );
    connection.write(|buffer| frontend::startup_message(startup, buffer))?;
    authenticate(connection, config).await?;
    let mut parameters = Vec::new();
    loop {
        match message(connection).await? {
            Message::BackendKeyData(key) => {
                connection.set_cancel_key(key.process_id(), key.secret_key());
            }
            Message::ParameterStatus(body) => {
                // A value that isn't UTF-8 is possible in a database without an encoding; it is ignored.
                if let (Ok(name), Ok(value)) = (body.name(), body.value()) {
                    parameters.push((name.to_owned(), value.to_owned()));
                }
            }
            Message::ReadyForQuery(body) => {
                connection.became_ready(&body)?;
                return Ok(parameters);
            }
            other => return Err(unexpected(&other)),
        }
    }
}

/// Returns the options of the configuration followed by those of the session, which take precedence.
fn options(config: &Config, settings: &[(String, String)]) -> Option<String> {
    let own = settings.iter().filter(|(name, _)| name == "options");
    let all: Vec<_> = config
        .options
        .as_deref()
        .into_iter()
        .chain(own.map(|(_, value)| value.as_str()))
        .collect();
    (!all.is_empty()).then(|| all.join(" "))
}

async fn authenticate(connection: &mut Connection, config: &Config) -> Result<(), Error> {
    let mut must_bind = config.channel_binding == ChannelBinding::Require;
    loop {
        match message(connection).await? {
            Message::AuthenticationSasl(body) => {
                scram(connection, &body, config).await?;
                must_bind = false;
            }
            _ if must_bind => {
                return Err(Error::Authentication(
                    "channel binding is required, but the server asks for a login without it"
                        .to_owned(),
                ));
            }
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
    config: &Config,
) -> Result<(), Error> {
    let wrong = |error: std::io::Error| Error::Authentication(error.to_string());
    let (mechanism, binding) = mechanism(connection, offer, config)?;
    let mut scram = ScramSha256::new(password(config)?.as_bytes(), binding);
    connection
        .write(|buffer| frontend::sasl_initial_response(mechanism, scram.message(), buffer))?;
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

/// Returns the strongest mechanism that both sides support. If the server offers no channel binding, the
/// reply says that the client supports it, so that the server notices when an attacker has removed it
/// from the offer.
fn mechanism(
    connection: &mut Connection,
    offer: &AuthenticationSaslBody,
    config: &Config,
) -> Result<(&'static str, sasl::ChannelBinding), Error> {
    let offers = |mechanism: &str| {
        offer
            .mechanisms()
            .any(|name| Ok(name == mechanism))
            .map_err(|error| Error::Authentication(error.to_string()))
    };
    let binding = connection
        .take_binding()
        .filter(|_| config.channel_binding != ChannelBinding::Disable);
    match (binding, config.channel_binding) {
        (Some(binding), _) if offers(SCRAM_SHA_256_PLUS)? => Ok((
            SCRAM_SHA_256_PLUS,
            sasl::ChannelBinding::tls_server_end_point(binding),
        )),
        (_, ChannelBinding::Require) => Err(Error::Authentication(
            "channel binding is required, but this connection or the server does not support it"
                .to_owned(),
        )),
        _ if !offers(SCRAM_SHA_256)? => Err(Error::Authentication(
            "the server does not offer SCRAM-SHA-256".to_owned(),
        )),
        (Some(_), _) => Ok((SCRAM_SHA_256, sasl::ChannelBinding::unrequested())),
        (None, _) => Ok((SCRAM_SHA_256, sasl::ChannelBinding::unsupported())),
    }
}

fn send_password(connection: &mut Connection, password: &[u8]) -> Result<(), Error> {
    connection.proved_password();
    connection.write(|buffer| frontend::password_message(password, buffer))
}

fn password(config: &Config) -> Result<&Password, Error> {
    config.password().ok_or(Error::NoPassword)
}

/// Waits for the next message. Skips notices; an ErrorResponse is an error.
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
