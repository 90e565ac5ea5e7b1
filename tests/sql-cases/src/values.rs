//! Round trips of values of every supported type.

use std::fmt::Debug;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, date};
use serde_json::{Value, json};
use tirage_sqlhttp::{Client, Error, FromSql, Json, Parameter, Statement, Transport};
use uuid::Uuid;

use crate::Place;

/// Sends a parameter as `data_type` and returns the value that comes back.
async fn send<V: FromSql>(
    client: &Client<impl Transport>,
    data_type: &str,
    parameter: impl Into<Parameter>,
) -> Result<V> {
    let statement = Statement::new(format!("select $1::{data_type} as v")).bind(parameter);
    let rows = client
        .query(statement)
        .await
        .with_context(|| data_type.to_owned())?;
    Ok(rows.single()?.get("v")?)
}

/// Calls a macro with each supported type, its Rust type and some values.
macro_rules! for_each_type {
    ($callback:ident, $($argument:expr),*) => {
        $callback!($($argument),*, "boolean", bool, [true, false]);
        $callback!($($argument),*, "smallint", i16, [i16::MIN, 0, i16::MAX]);
        $callback!($($argument),*, "integer", i32, [i32::MIN, 0, i32::MAX]);
        $callback!($($argument),*, "bigint", i64, [i64::MIN, 9_007_199_254_740_993, i64::MAX]);
        $callback!($($argument),*, "oid", u32, [0, u32::MAX]);
        $callback!($($argument),*, "real", f32, [0.1, f32::MIN, f32::INFINITY, f32::NEG_INFINITY]);
        $callback!($($argument),*, "double precision", f64, [0.1, f64::MAX, 5e-324, f64::INFINITY, f64::NEG_INFINITY]);
        $callback!($($argument),*, "text", String, ["", "NULL", " a \"b\" \\ {c,d} \n\t'é€🙂"].map(str::to_owned));
        $callback!($($argument),*, "character varying", String, ["é".repeat(100_000)]);
        $callback!($($argument),*, "character(3)", String, ["a  ".to_owned()]);
        $callback!($($argument),*, "name", String, ["pg_class".to_owned()]);
        $callback!($($argument),*, "numeric", String, ["0.1000000000000000055511151231257827", "-1.50", "NaN"].map(str::to_owned));
        $callback!($($argument),*, "uuid", Uuid, [Uuid::nil(), Uuid::max(), Uuid::from_u128(0x018f_9c3e_5b7a_7c1d_8e2f_0123_4567_89ab)]);
        $callback!($($argument),*, "timestamp with time zone", Timestamp, ["1970-01-01T00:00:00Z", "2026-11-20T10:00:00.000001Z", "0001-01-01T00:00:00Z"].map(|text| text.parse().unwrap_or_default()));
        $callback!($($argument),*, "timestamp", DateTime, [date(2026, 2, 28).at(23, 59, 59, 999_999_000), date(1, 1, 1).at(0, 0, 0, 0)]);
        $callback!($($argument),*, "date", Date, [date(2024, 2, 29), date(9999, 12, 31)]);
        $callback!($($argument),*, "time", Time, [Time::midnight(), Time::constant(23, 59, 59, 999_999_000)]);
    };
}

pub(crate) async fn scalars_round_trip<T: Transport>(place: &Place<T>) -> Result<()> {
    macro_rules! check {
        ($client:expr, $data_type:literal, $rust:ty, $values:expr) => {
            for value in $values {
                check_scalar::<$rust>($client, $data_type, value).await?;
            }
        };
    }
    let client = place.client();
    for_each_type!(check, &client);
    for data_type in ["real", "double precision"] {
        let text: String = send(&client, data_type, f64::NAN).await?;
        ensure!(text == "NaN", "{data_type}: {text}");
    }
    Ok(())
}

async fn check_scalar<V>(client: &Client<impl Transport>, data_type: &str, value: V) -> Result<()>
where
    V: FromSql + Into<Parameter> + Clone + PartialEq + Debug,
{
    let returned: V = send(client, data_type, value.clone()).await?;
    ensure!(
        returned == value,
        "{data_type}: {value:?} became {returned:?}"
    );
    Ok(())
}

pub(crate) async fn arrays_round_trip<T: Transport>(place: &Place<T>) -> Result<()> {
    macro_rules! check {
        ($client:expr, $data_type:literal, $rust:ty, $values:expr) => {{
            let mut values: Vec<Option<$rust>> = $values.into_iter().map(Some).collect();
            values.push(None);
            check_scalar::<Vec<Option<$rust>>>($client, concat!($data_type, "[]"), values).await?;
            check_scalar::<Vec<$rust>>($client, concat!($data_type, "[]"), vec![]).await?;
        }};
    }
    let client = place.client();
    for_each_type!(check, &client);
    Ok(())
}

pub(crate) async fn nulls_round_trip<T: Transport>(place: &Place<T>) -> Result<()> {
    macro_rules! check {
        ($client:expr, $data_type:literal, $rust:ty, $values:expr) => {
            let none = None::<$rust>;
            check_scalar::<Option<$rust>>($client, $data_type, none).await?;
        };
    }
    let client = place.client();
    for_each_type!(check, &client);
    for data_type in ["json", "jsonb", "bytea"] {
        let text: Option<String> = send(&client, data_type, Parameter::NULL).await?;
        ensure!(text.is_none(), "{data_type}");
    }
    let refused = client
        .query(Statement::new("select null::integer as v"))
        .await?
        .single()?
        .get::<i32>("v");
    ensure!(matches!(refused, Err(Error::Column { .. })), "{refused:?}");
    Ok(())
}

pub(crate) async fn json_and_bytes_round_trip<T: Transport>(place: &Place<T>) -> Result<()> {
    let client = place.client();
    for document in [
        json!(null),
        json!([1, "two", {"three": [null, true, 4.5]}]),
        json!({"é": "\\\"\n", "n": i64::MAX}),
    ] {
        for data_type in ["json", "jsonb"] {
            let Json(returned): Json<Value> =
                send(&client, data_type, Parameter::json(&document)?).await?;
            ensure!(returned == document, "{data_type}: {returned}");
        }
    }
    let every_byte = Bytes::from_iter(0..=u8::MAX);
    for bytes in [Bytes::new(), every_byte] {
        let returned: Bytes = send(&client, "bytea", bytes.clone()).await?;
        ensure!(returned == bytes, "{returned:?}");
        let returned: Vec<Bytes> = send(&client, "bytea[]", vec![bytes.clone()]).await?;
        ensure!(returned == [bytes], "{returned:?}");
    }
    Ok(())
}

pub(crate) async fn a_type_that_does_not_fit_is_refused<T: Transport>(
    place: &Place<T>,
) -> Result<()> {
    let rows = place
        .client()
        .query(Statement::new(
            "select 1::bigint as big, 0.1::numeric as exact, 'infinity'::timestamptz as ever",
        ))
        .await?;
    let row = rows.single()?;
    ensure!(matches!(row.get::<i32>("big"), Err(Error::Column { .. })));
    ensure!(matches!(row.get::<f64>("exact"), Err(Error::Column { .. })));
    ensure!(matches!(
        row.get::<Timestamp>("ever"),
        Err(Error::Column { .. })
    ));
    ensure!(matches!(row.get::<i32>("none"), Err(Error::Column { .. })));
    Ok(())
}

pub(crate) async fn rows_are_counted<T: Transport>(place: &Place<T>) -> Result<()> {
    let client = place.client();
    let rows = client
        .query(Statement::new("select generate_series(1, $1::int) as n").bind(1000))
        .await?;
    let numbers = rows
        .iter()
        .map(|row| row.get::<i32>("n"))
        .collect::<Result<Vec<_>, _>>()?;
    ensure!(numbers.into_iter().eq(1..=1000));
    ensure!(matches!(rows.single(), Err(Error::RowCount(1000))));

    let [created, inserted, none] = client
        .batch([
            Statement::new("create temporary table counted (n int) on commit drop"),
            Statement::new("insert into counted select generate_series(1, 7)"),
            Statement::new("select n from counted where n > 7"),
        ])
        .await?;
    ensure!(created.affected().is_none());
    ensure!(inserted.affected() == Some(7) && inserted.is_empty());
    ensure!(none.affected() == Some(0) && none.first().is_none());
    Ok(())
}
