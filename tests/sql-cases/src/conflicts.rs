//! Transactions that lose to others are sent again, as often as the options allow.

use std::sync::atomic::Ordering;

use anyhow::{Result, bail, ensure};
use futures::future::{join, try_join};
use tirage_sqlhttp::{Error, Isolation, Options, Statement, Transaction, Transport};

use crate::Place;

const SERIALIZABLE: Transaction = Transaction {
    isolation: Some(Isolation::Serializable),
    read_only: false,
    deferrable: false,
};
const REPEATABLE_READ: Transaction = Transaction {
    isolation: Some(Isolation::RepeatableRead),
    read_only: false,
    deferrable: false,
};

pub(crate) async fn a_serialization_failure_is_sent_again_until_it_succeeds<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    // Each reads what the other writes, and neither writes before both have read.
    let leave = |who: &str| {
        [
            Statement::new("select count(*) from duty where on_call"),
            Statement::new("select meet('duty_arrivals')::text"),
            Statement::new("update duty set on_call = false where who = $1").bind(who),
        ]
    };
    let attempts = Options::default().attempts;
    let ((a, a_sent), (b, b_sent)) = (
        place.counted_client(attempts),
        place.counted_client(attempts),
    );
    try_join(
        a.transaction(SERIALIZABLE, &leave("a")),
        b.transaction(SERIALIZABLE, &leave("b")),
    )
    .await?;
    let sent = a_sent.load(Ordering::Relaxed) + b_sent.load(Ordering::Relaxed);
    ensure!(sent > 2, "no transaction lost");
    Ok(())
}

pub(crate) async fn a_deadlock_is_sent_again_until_it_succeeds<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let earn =
        |id: i32| Statement::new("update account set balance = balance + 1 where id = $1").bind(id);
    let meet = || Statement::new("select meet('account_arrivals')::text");
    let attempts = Options::default().attempts;
    let ((a, a_sent), (b, b_sent)) = (
        place.counted_client(attempts),
        place.counted_client(attempts),
    );
    try_join(
        a.batch([earn(1), meet(), earn(2)]),
        b.batch([earn(2), meet(), earn(1)]),
    )
    .await?;
    let sent = a_sent.load(Ordering::Relaxed) + b_sent.load(Ordering::Relaxed);
    ensure!(sent > 2, "no transaction lost");
    let rows = place
        .client()
        .query(Statement::new("select balance from account"))
        .await?;
    for row in rows.iter() {
        ensure!(
            row.get::<i32>("balance")? == 2,
            "the update ran twice, or not at all"
        );
    }
    Ok(())
}

pub(crate) async fn repeated_conflicts_end_in_an_error<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    const ATTEMPTS: u32 = 3;
    let (loser, sent) = place.counted_client(ATTEMPTS);
    // Another client commits a change between this transaction's read and its write of the counter.
    let lose = async {
        let statements = [
            Statement::new("select n from counter"),
            Statement::new("select await('counter_done', nextval('counter_ready'))::text"),
            Statement::new("update counter set n = n + 100"),
        ];
        loser.transaction(REPEATABLE_READ, &statements).await
    };
    let winner = place.client();
    let win = async {
        for attempt in 1..=i64::from(ATTEMPTS) {
            winner
                .batch([
                    Statement::new("select await('counter_ready', $1)::text").bind(attempt),
                    Statement::new("update counter set n = n + 1"),
                ])
                .await?;
            winner
                .query(Statement::new("select nextval('counter_done')"))
                .await?;
        }
        Ok::<(), Error>(())
    };
    let (lost, won) = join(lose, win).await;
    won?;
    let Err(Error::Conflict(error)) = lost else {
        bail!("{lost:?}");
    };
    ensure!(error.code.as_deref() == Some("40001"), "{error}");
    ensure!(sent.load(Ordering::Relaxed) == ATTEMPTS as usize);
    let rows = place
        .client()
        .query(Statement::new("select n from counter"))
        .await?;
    ensure!(rows.single()?.get::<i32>("n")? == ATTEMPTS as i32);
    Ok(())
}
