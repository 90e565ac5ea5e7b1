//! Test cases of the SQL client, against a real gateway and a real Postgres. The guest `sql-client` runs
//! them as a component in the router; the whole-system tests (`tests/tests/system/sql.rs`) call it.
//!
//! A case is a function that returns an error when an expectation fails. It can run once on a database
//! that [`SETUP`] has prepared. Cases that need two statements to coincide make them wait for each other
//! in the database (`meet`), not by timing.

mod cancellation;
mod conflicts;
mod errors;
mod transactions;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tirage_sqlhttp::{Client, Endpoint, Options, Transport, TransportError};

/// The database role of the cases.
pub const ROLE: &str = "sql_client";
/// The password of [`ROLE`].
pub const PASSWORD: &str = "secret";
/// SQL that creates the role and everything that the cases need. A superuser runs it once.
pub const SETUP: &str = include_str!("setup.sql");

/// The transport and the endpoints that the cases use.
#[derive(Debug)]
pub struct Place<T> {
    /// Creates a transport with a limit on responses, in bytes.
    pub transport: fn(usize) -> T,
    /// The gateway, as [`ROLE`].
    pub endpoint: Endpoint,
    /// A gateway on a socket, as [`ROLE`] with a wrong password.
    pub wrong_password: Endpoint,
    /// An address where no server listens.
    pub unreachable: Endpoint,
}

/// Limit on responses in cases that don't test it: above the gateway's own limit.
const MAX_RESPONSE_BYTES: usize = 32 << 20;

impl<T: Transport> Place<T> {
    fn client(&self) -> Client<T> {
        self.client_at(&self.endpoint)
    }

    fn client_at(&self, endpoint: &Endpoint) -> Client<T> {
        Client::new((self.transport)(MAX_RESPONSE_BYTES), endpoint.clone())
    }

    fn client_with_timeout(&self, timeout: Duration) -> Client<T> {
        let options = Options {
            timeout,
            ..Options::default()
        };
        let transport = (self.transport)(MAX_RESPONSE_BYTES);
        Client::with_options(transport, self.endpoint.clone(), options)
    }

    /// Returns a client, and the counter of requests that it has sent.
    fn counted_client(&self, attempts: u32) -> (Client<Counted<T>>, Arc<AtomicUsize>) {
        let sent = Arc::new(AtomicUsize::new(0));
        let transport = Counted {
            inner: (self.transport)(MAX_RESPONSE_BYTES),
            sent: Arc::clone(&sent),
        };
        let options = Options {
            attempts,
            ..Options::default()
        };
        let client = Client::with_options(transport, self.endpoint.clone(), options);
        (client, sent)
    }

    async fn pause(&self) {
        (self.transport)(0).sleep(Duration::from_millis(10)).await;
    }
}

/// A transport that counts requests.
struct Counted<T> {
    inner: T,
    sent: Arc<AtomicUsize>,
}

impl<T: Transport> Transport for Counted<T> {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Bytes>, TransportError>> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.inner.send(request)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        self.inner.sleep(duration)
    }
}

/// Calls a macro with the name of every case.
#[macro_export]
macro_rules! for_each_case {
    ($callback:ident) => {
        $callback! {
            scalars_round_trip
            arrays_round_trip
            nulls_round_trip
            json_and_bytes_round_trip
            a_type_that_does_not_fit_is_refused
            rows_are_counted
            a_batch_is_one_transaction
            a_failed_batch_changes_nothing
            options_reach_the_transaction
            unique_violation_names_its_constraint
            foreign_key_violation_names_its_constraint
            other_postgres_errors_have_their_sqlstate
            a_wrong_password_is_a_database_error
            an_unreachable_server_is_unavailable
            a_request_beyond_the_gateways_limit_is_too_large
            a_response_beyond_the_gateways_limit_is_too_large
            a_response_beyond_the_transports_limit_is_too_large
            a_serialization_failure_is_sent_again_until_it_succeeds
            a_deadlock_is_sent_again_until_it_succeeds
            repeated_conflicts_end_in_an_error
            postgres_own_timeout_is_a_timeout
            a_timeout_cancels_the_statement
            dropping_a_call_cancels_its_statement
        }
    };
}

macro_rules! dispatch {
    ($($case:ident)*) => {
        /// Runs the case called `case`.
        ///
        /// # Errors
        /// The expectation that failed, or an unknown name.
        pub async fn run<T: Transport>(case: &str, place: &Place<T>) -> anyhow::Result<()> {
            use {cancellation::*, conflicts::*, errors::*, transactions::*, values::*};
            match case {
                $(stringify!($case) => $case(place).await,)*
                _ => anyhow::bail!("no such case: {case:?}"),
            }
        }
    };
}

for_each_case!(dispatch);
