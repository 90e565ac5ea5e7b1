//! Each kind of error, caused by its real source.

use anyhow::{Result, bail, ensure};
use tirage_sqlhttp::{Client, Error, Statement, Transport};

use crate::Place;

pub(crate) async fn unique_violation_names_its_constraint<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let insert = || Statement::new("insert into parent values (1)");
    place.client().query(insert()).await?;
    let refused = place.client().query(insert()).await;
    let Err(Error::UniqueViolation(error)) = refused else {
        bail!("{refused:?}");
    };
    ensure!(error.code.as_deref() == Some("23505"));
    ensure!(error.constraint.as_deref() == Some("parent_pkey"));
    ensure!(error.table.as_deref() == Some("parent"));
    ensure!(error.schema.as_deref() == Some(crate::ROLE));
    ensure!(error.detail.as_deref() == Some("Key (id)=(1) already exists."));
    Ok(())
}

pub(crate) async fn foreign_key_violation_names_its_constraint<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let orphan = Statement::new("insert into child values (1, $1)").bind(404);
    let refused = place.client().query(orphan).await;
    let Err(Error::ForeignKeyViolation(error)) = refused else {
        bail!("{refused:?}");
    };
    ensure!(error.constraint.as_deref() == Some("child_has_parent"));
    Ok(())
}

pub(crate) async fn other_postgres_errors_have_their_sqlstate<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    for (statement, code) in [
        (Statement::new("selec 1"), "42601"),
        (Statement::new("select * from nowhere"), "42P01"),
        (Statement::new("select * from pg_authid"), "42501"),
        (Statement::new("select $1::int").bind("x"), "22P02"),
        (Statement::new("select $1::int"), "08P01"),
    ] {
        let refused = place.client().query(statement).await;
        let Err(Error::Database(error)) = &refused else {
            bail!("{code}: {refused:?}");
        };
        ensure!(error.code.as_deref() == Some(code), "{error}");
    }
    Ok(())
}

pub(crate) async fn a_wrong_password_is_a_database_error<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let client = place.client_at(&place.wrong_password);
    let refused = client.query(Statement::new("select 1")).await;
    let Err(Error::Database(error)) = refused else {
        bail!("{refused:?}");
    };
    ensure!(error.code.as_deref() == Some("28P01"), "{error}");
    Ok(())
}

pub(crate) async fn an_unreachable_server_is_unavailable<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let refused = place
        .client_at(&place.unreachable)
        .query(Statement::new("select 1"))
        .await;
    ensure!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    Ok(())
}

pub(crate) async fn a_request_beyond_the_gateways_limit_is_too_large<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let long = Statement::new("select length($1) as n").bind("x".repeat(11 << 20));
    let refused = place.client().query(long).await;
    ensure!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
    Ok(())
}

pub(crate) async fn a_response_beyond_the_gateways_limit_is_too_large<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let refused = place.client().query(long_response(11 << 20)).await;
    ensure!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
    Ok(())
}

pub(crate) async fn a_response_beyond_the_transports_limit_is_too_large<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let client = Client::new((place.transport)(10_000), place.endpoint.clone());
    client.query(long_response(9_000)).await?;
    let refused = client.query(long_response(10_000)).await;
    ensure!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
    Ok(())
}

fn long_response(bytes: i32) -> Statement {
    Statement::new("select repeat('x', $1::int) as v").bind(bytes)
}
