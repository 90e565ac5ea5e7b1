//! Calls that end early, by a timeout or by being dropped: their statement is cancelled.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::future::{Either, select};
use tirage_sqlhttp::{Error, Statement, Transport};

use crate::Place;

pub(crate) async fn postgres_own_timeout_is_a_timeout<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let cancelled = place
        .client()
        .batch([
            Statement::new("select set_config('statement_timeout', '50', true)"),
            Statement::new("select pg_sleep(60)::text"),
        ])
        .await;
    ensure!(matches!(cancelled, Err(Error::Timeout)), "{cancelled:?}");
    Ok(())
}

pub(crate) async fn a_timeout_cancels_the_statement<T: Transport>(place: &Place<T>) -> Result<()> {
    let statement = "select nextval('began')::text || pg_sleep(61)::text";
    let client = place.client_with_timeout(Duration::from_secs(3));
    let late = client.query(Statement::new(statement)).await;
    ensure!(matches!(late, Err(Error::Timeout)), "{late:?}");
    let reached = Statement::new("select reached('began') as n");
    let rows = place.client().query(reached).await?;
    let reached: i64 = rows.single()?.get("n")?;
    ensure!(
        reached == 1,
        "the statement reached Postgres {reached} times"
    );
    until_running(place, statement, 0).await
}

pub(crate) async fn dropping_a_call_cancels_its_statement<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let statement = "select pg_sleep(62)::text";
    let client = place.client();
    {
        let call = pin!(client.query(Statement::new(statement)));
        let begins = pin!(until_running(place, statement, 1));
        match select(call, begins).await {
            Either::Left((answer, _)) => bail!("{answer:?}"),
            Either::Right((began, _)) => began?,
        }
    }
    until_running(place, statement, 0).await
}

/// Waits until `running` executions of `statement` are active.
async fn until_running<T: Transport>(
    place: &Place<T>,
    statement: &str,
    running: i64,
) -> Result<()> {
    const POLLS: usize = 500;
    let client = place.client();
    for _ in 0..POLLS {
        let poll = Statement::new(
            "select count(*) as n from pg_stat_activity
             where query = $1 and state = 'active' and usename = current_user",
        )
        .bind(statement);
        if client.query(poll).await?.single()?.get::<i64>("n")? == running {
            return Ok(());
        }
        place.pause().await;
    }
    bail!("{statement:?} never had {running} active executions")
}
