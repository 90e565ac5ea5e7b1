//! What the SQL client has to do, against a real gateway and a real Postgres. The same cases run
//! natively (`tests/native.rs` beside this) and on WebAssembly (the guest `sql-client`, which the
//! router serves), so that neither side does what the other doesn't.
//!
//! A case is a function that ends in an error where something isn't as it should be; it may run once
//! on a database that [`SETUP`] has prepared. What has to happen at the same moment is brought about
//! by the database (`meet`), not by hoping that a pause is long enough.

mod conflicts;
mod errors;
mod giving_up;
mod transactions;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tirage_sqlhttp::{Client, Endpoint, Settings, Transport, TransportError};

/// The role that the cases run as.
pub const ROLE: &str = "sql_client";
/// Its password.
pub const PASSWORD: &str = "secret";
/// Makes the role and everything that the cases need. To be run once, by a superuser.
pub const SETUP: &str = include_str!("setup.sql");

/// Where the cases run: the transport of this side, and the places that it can ask.
#[derive(Debug)]
pub struct Place<T> {
    /// A transport that takes answers of so many bytes.
    pub transport: fn(usize) -> T,
    /// The gateway, as [`ROLE`].
    pub endpoint: Endpoint,
    /// A gateway on a socket, as [`ROLE`] with another password than its own.
    pub wrong_password: Endpoint,
    /// Where nobody listens.
    pub nobody: Endpoint,
}

/// How much of an answer is taken where a case isn't about that: more than the gateway gives.
const MAX_ANSWER_BYTES: usize = 32 << 20;

impl<T: Transport> Place<T> {
    fn client(&self) -> Client<T> {
        self.client_at(&self.endpoint)
    }

    fn client_at(&self, endpoint: &Endpoint) -> Client<T> {
        Client::new((self.transport)(MAX_ANSWER_BYTES), endpoint.clone())
    }

    fn patient_client(&self, timeout: Duration) -> Client<T> {
        let settings = Settings {
            timeout,
            ..Settings::default()
        };
        let transport = (self.transport)(MAX_ANSWER_BYTES);
        Client::with_settings(transport, self.endpoint.clone(), settings)
    }

    /// A client, and how often it has sent something.
    fn counted_client(&self, attempts: u32) -> (Client<Counted<T>>, Arc<AtomicUsize>) {
        let sent = Arc::new(AtomicUsize::new(0));
        let transport = Counted {
            inner: (self.transport)(MAX_ANSWER_BYTES),
            sent: Arc::clone(&sent),
        };
        let settings = Settings {
            attempts,
            ..Settings::default()
        };
        let client = Client::with_settings(transport, self.endpoint.clone(), settings);
        (client, sent)
    }

    async fn pause(&self) {
        (self.transport)(0).sleep(Duration::from_millis(10)).await;
    }
}

/// Counts what it sends.
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
            scalars_return_as_they_went
            arrays_return_as_they_went
            nulls_return_as_they_went
            json_and_bytes_return_as_they_went
            a_type_that_does_not_fit_is_refused
            rows_are_counted
            a_batch_is_one_transaction
            a_batch_that_fails_leaves_nothing
            options_reach_the_transaction
            unique_violation_names_its_constraint
            foreign_key_violation_names_its_constraint
            what_else_postgres_refuses_has_its_sqlstate
            a_wrong_password_is_what_the_database_says
            nobody_there_is_unavailable
            a_request_beyond_the_gateways_limit_is_too_large
            an_answer_beyond_the_gateways_limit_is_too_large
            an_answer_beyond_the_transports_limit_is_too_large
            a_serialization_failure_is_sent_again_until_it_succeeds
            a_deadlock_is_sent_again_until_it_succeeds
            what_always_loses_is_given_up_in_the_end
            postgres_own_timeout_is_a_timeout
            no_answer_in_time_is_a_timeout_and_cancels_the_statement
            a_call_that_is_dropped_cancels_its_statement
        }
    };
}

macro_rules! dispatch {
    ($($case:ident)*) => {
        /// Runs the case of this name.
        ///
        /// # Errors
        /// What isn't as it should be; or that there is no such case.
        pub async fn run<T: Transport>(case: &str, place: &Place<T>) -> anyhow::Result<()> {
            use {conflicts::*, errors::*, giving_up::*, transactions::*, values::*};
            match case {
                $(stringify!($case) => $case(place).await,)*
                _ => anyhow::bail!("there is no case {case:?}"),
            }
        }
    };
}

for_each_case!(dispatch);
