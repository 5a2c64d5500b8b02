//! One line: an object, and the checksum of what stands before it.

use core::fmt::Write as _;

use base64_simd::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};
use sockeye_proto::Role;

use crate::{Ending, Ends};

/// What stands between a line's members and its checksum.
const CHECKSUM: &str = ",\"crc32\":\"";
/// Eight digits, a quote and a brace end a line.
const END: usize = 10;

/// A line that is being put together. Its buffer is used for one after the other.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: String,
}

impl Line {
    /// Begins a line.
    pub(super) fn begin(&mut self, event: &str) -> &mut Self {
        self.text.clear();
        self.text.push_str("{\"event\":\"");
        self.text.push_str(event);
        self.text.push('"');
        self
    }

    pub(super) fn number(&mut self, name: &str, number: u64) -> &mut Self {
        let _ = write!(self.text, ",\"{name}\":{number}"); // A String takes everything.
        self
    }

    pub(super) fn string(&mut self, name: &str, value: &str) -> &mut Self {
        let _ = write!(self.text, ",\"{name}\":{}", Value::from(value));
        self
    }

    /// A string if there is one.
    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.string(name, value),
            None => self,
        }
    }

    /// A member that is only there where it is true.
    pub(super) fn flag(&mut self, name: &str, is_set: bool) -> &mut Self {
        if is_set {
            let _ = write!(self.text, ",\"{name}\":true");
        }
        self
    }

    pub(super) fn base64(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        let _ = write!(self.text, ",\"{name}\":\"");
        STANDARD.encode_append(bytes, &mut self.text);
        self.text.push('"');
        self
    }

    /// Ends the line: all its bytes, with the one that ends it.
    pub(super) fn end(&mut self) -> &[u8] {
        let sum = crc32fast::hash(self.text.as_bytes());
        let _ = writeln!(self.text, "{CHECKSUM}{sum:08x}\"}}");
        self.text.as_bytes()
    }
}

/// Reads a line, without the byte that ends it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(line: &[u8]) -> Result<Map<String, Value>, String> {
    let end = line.len().checked_sub(END + CHECKSUM.len()).filter(|&end| line[end..].starts_with(CHECKSUM.as_bytes()));
    let Some(end) = end.filter(|_| line.ends_with(b"\"}")) else {
        return Err(match line.last() {
            Some(b'}') => "no line of a recording: it does not end with its checksum".to_owned(),
            _ => "the line is cut off, or none of a recording".to_owned(),
        });
    };
    let digits = core::str::from_utf8(&line[line.len() - END..line.len() - 2]).unwrap_or_default();
    // Exactly as it is written: `from_str_radix` would take a sign.
    if format!("{:08x}", crc32fast::hash(&line[..end])) != digits {
        return Err("the line is damaged: its checksum is that of another".to_owned());
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("the line is no object".to_owned()),
        Err(error) => Err(format!("the line is no JSON: {error}")),
    }
}

/// Members of a line, each with a word on what is missing.
pub(super) struct Members(pub(super) Map<String, Value>);

impl Members {
    pub(super) fn number(&self, name: &str) -> Result<u64, String> {
        self.0.get(name).and_then(Value::as_u64).ok_or_else(|| format!("{name:?} is no number, or missing"))
    }

    pub(super) fn string(&self, name: &str) -> Result<&str, String> {
        self.maybe(name).ok_or_else(|| format!("{name:?} is no string, or missing"))
    }

    pub(super) fn maybe(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn role(&self, name: &str) -> Result<Role, String> {
        role(self.string(name)?).ok_or_else(|| format!("{name:?} is neither client nor server"))
    }

    pub(super) fn base64(&self, name: &str) -> Result<Bytes, String> {
        let bytes = STANDARD.decode_to_vec(self.string(name)?).map_err(|_| format!("{name:?} is no base64"))?;
        Ok(bytes.into())
    }

    pub(super) fn ends(&self) -> Ends {
        let own = |name| self.maybe(name).map(str::to_owned);
        Ends { client: own("client"), server: own("server"), target: own("target"), joined: self.flag("joined") }
    }

    pub(super) fn ending(&self) -> Result<Ending, String> {
        let by = self.maybe("by").and_then(role);
        match self.string("how")? {
            "closed" => Ok(Ending::Closed(by)),
            "reset" => Ok(Ending::Reset(by)),
            "failed" => Ok(Ending::Failed(self.maybe("why").unwrap_or_default().to_owned())),
            "given up" => Ok(Ending::GivenUp),
            how => Err(format!("no connection ends like this: {how:?}")),
        }
    }
}

fn role(name: &str) -> Option<Role> {
    [Role::Client, Role::Server].into_iter().find(|role| role.to_string() == name)
}
