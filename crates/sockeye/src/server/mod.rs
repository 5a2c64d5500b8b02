//! The server's end: `serve` for a port of its own, `upgrade` to share one with other HTTP.

mod drive;
mod serve;
mod upgrade;

pub use drive::HandlerResult;
pub use serve::{Serve, serve};
pub use upgrade::{Upgrade, Upgrader, upgrade};
