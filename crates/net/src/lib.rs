//! What every HTTP server and every TLS client of this repository shares.
//!
//! - [`listen`]: one accept loop with limits, timeouts and graceful shutdown.
//! - [`tls`]: one client configuration of rustls: provider and root certificates.

pub mod listen;
pub mod tls;
