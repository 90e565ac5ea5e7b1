//! Batches: one transaction, with the requested options.

use anyhow::{Result, ensure};
use tirage_sqlhttp::{Error, Isolation, Statement, Transaction, Transport};

use crate::Place;

pub(crate) async fn a_batch_is_one_transaction<T: Transport>(place: &Place<T>) -> Result<()> {
    let client = place.client();
    let id = || Statement::new("select pg_current_xact_id()::text as id");
    let [first, second] = client.batch([id(), id()]).await?;
    let (first, second): (String, String) =
        (first.single()?.get("id")?, second.single()?.get("id")?);
    ensure!(first == second, "{first} and {second}");
    let other: String = client.query(id()).await?.single()?.get("id")?;
    ensure!(
        first != other,
        "the next request shares transaction {first}"
    );

    let none = client.transaction(Transaction::default(), &[]).await?;
    ensure!(none.is_empty());
    Ok(())
}

pub(crate) async fn a_failed_batch_changes_nothing<T: Transport>(place: &Place<T>) -> Result<()> {
    let client = place.client();
    let failed = client
        .batch([
            Statement::new("insert into kept values (1)"),
            Statement::new("select 1 / $1::int").bind(0),
            Statement::new("insert into kept values (2)"),
        ])
        .await;
    let Err(Error::Database(error)) = failed else {
        anyhow::bail!("{failed:?}");
    };
    ensure!(error.code.as_deref() == Some("22012"), "{error}");
    let kept = client.query(Statement::new("select id from kept")).await?;
    ensure!(kept.is_empty(), "{} rows were kept", kept.len());
    Ok(())
}

pub(crate) async fn options_reach_the_transaction<T: Transport>(place: &Place<T>) -> Result<()> {
    let client = place.client();
    let show = Statement::new(
        "select current_setting('transaction_isolation') as isolation,
                current_setting('transaction_read_only')::bool as read_only,
                current_setting('transaction_deferrable')::bool as deferrable",
    );
    for (isolation, name) in [
        (None, "read committed"),
        (Some(Isolation::ReadUncommitted), "read uncommitted"),
        (Some(Isolation::ReadCommitted), "read committed"),
        (Some(Isolation::RepeatableRead), "repeatable read"),
        (Some(Isolation::Serializable), "serializable"),
    ] {
        for (read_only, deferrable) in [(false, false), (true, false), (false, true), (true, true)]
        {
            let options = Transaction {
                isolation,
                read_only,
                deferrable,
            };
            let results = client
                .transaction(options, std::slice::from_ref(&show))
                .await?;
            let [rows] = results.as_slice() else {
                anyhow::bail!("{} results", results.len());
            };
            let row = rows.single()?;
            ensure!(row.get::<String>("isolation")? == name, "{options:?}");
            ensure!(row.get::<bool>("read_only")? == read_only, "{options:?}");
            ensure!(row.get::<bool>("deferrable")? == deferrable, "{options:?}");
        }
    }
    let read_only = Transaction {
        read_only: true,
        ..Transaction::default()
    };
    let write = [Statement::new("insert into kept values (3)")];
    let refused = client.transaction(read_only, &write).await;
    let Err(Error::Database(error)) = refused else {
        anyhow::bail!("{refused:?}");
    };
    ensure!(error.code.as_deref() == Some("25006"), "{error}");
    Ok(())
}
