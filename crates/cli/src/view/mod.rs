//! Traffic made visible, for every command that shows some: connections that are followed, a filter on what is shown of
//! them, and a report of it.

mod connections;
mod filter;
mod report;

pub(crate) use connections::Connections;
pub(crate) use filter::Filter;
pub(crate) use report::{Color, Format, Opened, Report, json_line, nanos};
