//! The components' roles: they can log in, and row-level security binds them.
//!
//! A role that can already log in is left alone, since an operator may manage it, or another process may
//! just have set the same password. Otherwise its password is set as a SCRAM verifier, so that the
//! password itself reaches neither the server's log nor `pg_stat_statements`.

use tirage_postgres::{Config, Connection, Error, scram_verifier};

use crate::{LOCK, MigrateError};

const IS_PRIVILEGED: &str =
    "select rolsuper or rolbypassrls from pg_roles where rolname = current_user";
const EXISTS: &str = "select 1 from pg_roles where rolname = $1";
/// SQLSTATE class of failed logins: unknown role, wrong password, not permitted to log in.
const INVALID_AUTHORIZATION: &str = "28";

/// Makes sure that `role` can log in. Returns `true` if that took setting its password. Holds the lock of
/// the migrations, because Postgres fails one of two transactions that alter the same role.
pub(crate) async fn ensure(admin: &mut Connection, role: &Config) -> Result<bool, MigrateError> {
    admin.batch_execute("begin").await?;
    admin.execute(LOCK, &[]).await?;
    let refused = match login(role).await {
        Err(MigrateError::Database(error)) if is_refused(&error) => true,
        result => result.map(|()| false)?,
    };
    if refused {
        set_password(admin, role).await?;
    }
    admin.batch_execute("commit").await?;
    if refused {
        login(role).await?;
    }
    Ok(refused)
}

async fn login(role: &Config) -> Result<(), MigrateError> {
    let mut session = Connection::connect(role).await?;
    let privileged = session.execute(IS_PRIVILEGED, &[]).await?;
    match privileged.rows.first().and_then(|row| row.text(0)) {
        Some("f") => Ok(()),
        _ => Err(MigrateError::Privileged {
            role: role.user().to_owned(),
        }),
    }
}

fn is_refused(error: &Error) -> bool {
    error
        .server()
        .is_some_and(|error| error.code.starts_with(INVALID_AUTHORIZATION))
}

async fn set_password(admin: &mut Connection, role: &Config) -> Result<(), MigrateError> {
    let password = role.password().ok_or(Error::NoPassword)?;
    let exists = admin.execute(EXISTS, &[Some(role.user())]).await?;
    // Only CREATE names the attributes that the role must not have: changing them takes a superuser.
    let statement = match exists.rows.is_empty() {
        true => "create role {role} login nosuperuser nobypassrls password",
        false => "alter role {role} login password",
    };
    let statement = statement.replace("{role}", &quoted(role.user()));
    let verifier = scram_verifier(password);
    // Postgres takes no parameters here. A verifier contains no quote.
    admin
        .batch_execute(&format!("{statement} '{verifier}'"))
        .await?;
    Ok(())
}

/// Quotes an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
