//! stub
use std::pin::Pin;
use std::sync::Arc;
use std::net::SocketAddr;
use tirage_host::{InternalService, Request, Response};
use tirage_manifest::Selection;
use crate::environment::Environment;
pub(crate) const HOST_NAME: &str = "sql.tirage.internal";
#[derive(clap::Args)]
pub(crate) struct MigrateArguments {}
#[derive(clap::Args)]
pub(crate) struct GatewayArguments { #[arg(long)] listen: Option<SocketAddr> }
pub(crate) fn migrate(_: MigrateArguments) -> anyhow::Result<()> { Ok(()) }
pub(crate) fn serve_gateway(a: GatewayArguments) -> anyhow::Result<()> { drop(a.listen); Ok(()) }
pub(crate) struct Database;
struct S;
impl InternalService for S { fn call(&self, _: &str, _: Request) -> Pin<Box<dyn Future<Output = Response> + Send>> { Box::pin(async { crate::problem::Problem::TooBusy.response("x") }) } }
impl Database {
    pub(crate) fn prepare(_: &Environment, _: &Selection<'_>) -> anyhow::Result<Self> { Ok(Self) }
    pub(crate) fn service(&self) -> Arc<dyn InternalService> { Arc::new(S) }
    pub(crate) async fn bring_up_to_date(self) -> anyhow::Result<()> { Ok(()) }
}
