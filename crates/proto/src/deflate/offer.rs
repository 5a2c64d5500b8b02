//! The negotiation (RFC 7692 §5, §7.1): one offer from the client, one answer from the server.
//!
//! | parameter | in an offer: the client … | in an answer: the server … |
//! |---|---|---|
//! | `server_no_context_takeover` | wants it of the server | obliges itself, asked or not |
//! | `client_no_context_takeover` | says that it will do without | obliges the client, offered or not |
//! | `server_max_window_bits=N` | wants N or less of the server | obliges itself to that or less, asked or not |
//! | `client_max_window_bits` | lets itself be obliged | – |
//! | `client_max_window_bits=N` | the same, and uses N or less anyway | obliges the client to N or less, if offered |

use core::fmt;

use http::{HeaderMap, HeaderValue};

use super::Compression;
use super::extension::{self, Extension, Malformed};
use super::params::{Params, Sending};

const NAME: &str = "permessage-deflate";
const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";
/// What a window has that nobody limits: 32 KiB.
const UNLIMITED: u8 = 15;

/// The value of `Sec-WebSocket-Extensions` in a client's request; none if compression is off.
///
/// One offer without a fallback: the answer then tells beyond doubt what it is an answer to.
///
/// ```
/// use sockeye_proto::deflate::{Compression, offer};
///
/// let value = offer(&Compression::takeover().window_bits(15)).unwrap();
/// assert_eq!(value, "permessage-deflate; client_max_window_bits");
/// assert_eq!(offer(&Compression::OFF), None);
/// ```
#[must_use]
pub fn offer(compression: &Compression) -> Option<HeaderValue> {
    if !compression.is_on() {
        return None;
    }
    let limited = |bits: u8| (bits < UNLIMITED).then_some(bits);
    Some(write(Terms {
        server_no_takeover: !compression.lets_peer_take_over(),
        client_no_takeover: !compression.takes_over(),
        server_bits: limited(compression.peer_bits()),
        // Always there: without it the server could not limit our window. Always without a value, which would only be a
        // hint of ours: we may use less than what is granted, and some servers answer a hint with more, which they must not.
        client_bits: Some(None),
    }))
}

/// Judges the headers of a response to our [`offer`]. None: the server does without compression.
///
/// # Errors
/// Whatever keeps the answer from being one to our offer; the client fails the connection then. Where nothing was offered
/// (compression is off), that is every answer.
pub fn verify(headers: &HeaderMap, compression: &Compression) -> Result<Option<Params>, NegotiationError> {
    let extensions = extension::parse(headers)?;
    let Some(answer) = extensions.first() else {
        return Ok(None);
    };
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    // "… the use of an extension that was not present in the client's handshake …": the client fails the connection.
    if !compression.is_on() || extensions.iter().any(|extension| extension.name != NAME) {
        return Err(NegotiationError::NotOffered);
    }
    if extensions.len() > 1 {
        return Err(NegotiationError::Several);
    }
    let terms = Terms::read(answer)?;

    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
    //# A server accepts an extension negotiation offer that includes the
    //# "server_no_context_takeover" extension parameter by including the
    //# "server_no_context_takeover" extension parameter in the corresponding
    //# extension negotiation response to send back to the client.
    if !terms.server_no_takeover && !compression.lets_peer_take_over() {
        return Err(NegotiationError::Parameter(SERVER_NO_TAKEOVER));
    }
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
    // "… with the same or smaller value as the offer."
    let server_bits = terms.server_bits.unwrap_or(UNLIMITED);
    if server_bits > compression.peer_bits() {
        return Err(NegotiationError::Parameter(SERVER_BITS));
    }
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
    // In a response it has a value: the most we may use. `Deflater` uses what we want, up to that.
    let client_bits = match terms.client_bits {
        None => UNLIMITED,
        Some(Some(bits)) => bits,
        Some(None) => return Err(NegotiationError::Parameter(CLIENT_BITS)),
    };
    Ok(Some(Params {
        // An answer without client_no_context_takeover leaves us free to take over, not obliged to.
        client: Sending { takeover: compression.takes_over() && !terms.client_no_takeover, window_bits: client_bits },
        server: Sending { takeover: !terms.server_no_takeover, window_bits: server_bits },
    }))
}

/// Answers the offers in the headers of a request: the value of `Sec-WebSocket-Extensions` in the response, and what is
/// agreed on by it. None, and no such header: compression is off, or nothing acceptable was offered.
///
/// Offers stand in the client's order of preference, in one header or several; the first that is acceptable is taken.
///
/// # Errors
/// [`NegotiationError::Malformed`] only, which a server answers with 400: "If a value is received by either the client or
/// the server during negotiation that does not conform to the ABNF below, the recipient of such malformed data MUST
/// immediately _Fail the WebSocket Connection_" (RFC 6455 §9.1). That is so for every extension, also with compression
/// off. What is in the grammar and makes no sense as permessage-deflate merely declines that offer (RFC 7692 §7.1).
pub fn accept(
    headers: &HeaderMap,
    compression: &Compression,
) -> Result<Option<(HeaderValue, Params)>, NegotiationError> {
    let extensions = extension::parse(headers)?;
    if !compression.is_on() {
        return Ok(None);
    }
    //= https://www.rfc-editor.org/rfc/rfc7692#section-5.1
    let mut offers = extensions.iter().filter(|extension| extension.name == NAME);
    let acceptable = offers.find_map(|offer| Terms::read(offer).ok());
    Ok(acceptable.map(|offer| grant(offer, compression)))
}

/// Any offer without mistakes is one we can grant.
fn grant(offer: Terms, compression: &Compression) -> (HeaderValue, Params) {
    let server = Sending {
        takeover: compression.takes_over() && !offer.server_no_takeover,
        window_bits: offer.server_bits.unwrap_or(UNLIMITED).min(compression.own_bits()),
    };
    let client = Sending {
        // One who says that it will do without is taken at its word: that saves us the memory of waiting for it.
        takeover: compression.lets_peer_take_over() && !offer.client_no_takeover,
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
        //# If a received extension negotiation offer doesn't have the
        //# "client_max_window_bits" extension parameter, the corresponding
        //# extension negotiation response to the offer MUST NOT include the
        //# "client_max_window_bits" extension parameter.
        window_bits: match offer.client_bits {
            None => UNLIMITED,
            Some(bits) => bits.unwrap_or(UNLIMITED).min(compression.peer_bits()),
        },
    };
    let answer = Terms {
        server_no_takeover: !server.takeover,
        client_no_takeover: !client.takeover,
        server_bits: (offer.server_bits.is_some() || server.window_bits < UNLIMITED).then_some(server.window_bits),
        client_bits: (client.window_bits < UNLIMITED).then_some(Some(client.window_bits)),
    };
    (write(answer), Params { client, server })
}

/// The parameters of one element, of an offer or an answer, as they stand.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// There, and with a value or without.
    client_bits: Option<Option<u8>>,
}

impl Terms {
    /// Reads an element.
    fn read(extension: &Extension<'_>) -> Result<Self, NegotiationError> {
        use NegotiationError::{Parameter, UnknownParameter};
        let mut terms = Self::default();
        for (name, value) in &extension.params {
            let value = value.as_deref();
            match *name {
                SERVER_NO_TAKEOVER => set(&mut terms.server_no_takeover, value).ok_or(Parameter(SERVER_NO_TAKEOVER))?,
                CLIENT_NO_TAKEOVER => set(&mut terms.client_no_takeover, value).ok_or(Parameter(CLIENT_NO_TAKEOVER))?,
                SERVER_BITS if terms.server_bits.is_none() => {
                    terms.server_bits = Some(value.and_then(bits).ok_or(Parameter(SERVER_BITS))?);
                }
                CLIENT_BITS if terms.client_bits.is_none() => {
                    terms.client_bits = Some(match value {
                        Some(value) => Some(bits(value).ok_or(Parameter(CLIENT_BITS))?),
                        None => None,
                    });
                }
                SERVER_BITS => return Err(Parameter(SERVER_BITS)),
                CLIENT_BITS => return Err(Parameter(CLIENT_BITS)),
                _ => return Err(UnknownParameter),
            }
        }
        Ok(terms)
    }
}

/// Takes a parameter that has no value and comes once.
fn set(flag: &mut bool, value: Option<&str>) -> Option<()> {
    (value.is_none() && !*flag).then(|| *flag = true)
}

/// "a decimal integer value without leading zeroes between 8 to 15, inclusive" (§7.1.2.1).
fn bits(value: &str) -> Option<u8> {
    const VALUES: [(&str, u8); 8] =
        [("8", 8), ("9", 9), ("10", 10), ("11", 11), ("12", 12), ("13", 13), ("14", 14), ("15", 15)];
    VALUES.iter().find(|(written, _)| *written == value).map(|(_, bits)| *bits)
}

fn write(terms: Terms) -> HeaderValue {
    let mut value = String::from(NAME);
    let mut add = |name: &str, bits: Option<u8>| {
        value.push_str("; ");
        value.push_str(name);
        if let Some(bits) = bits {
            value.push_str(&format!("={bits}"));
        }
    };
    if terms.server_no_takeover {
        add(SERVER_NO_TAKEOVER, None);
    }
    if terms.client_no_takeover {
        add(CLIENT_NO_TAKEOVER, None);
    }
    if terms.server_bits.is_some() {
        add(SERVER_BITS, terms.server_bits);
    }
    if let Some(bits) = terms.client_bits {
        add(CLIENT_BITS, bits);
    }
    HeaderValue::try_from(value).expect("tokens and digits are visible ASCII")
}

/// Why there is no agreement on extensions: always the peer's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The header is not in the grammar of RFC 6455 §9.1.
    Malformed,
    /// The server uses an extension that was not offered.
    NotOffered,
    /// The server accepted permessage-deflate more than once.
    Several,
    /// A parameter of the server's answer, by its name, is missing, repeated, or has a value that does not answer the
    /// offer.
    Parameter(&'static str),
    /// The server's answer has a parameter that RFC 7692 does not.
    UnknownParameter,
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("Sec-WebSocket-Extensions cannot be read (RFC 6455 §9.1)"),
            Self::NotOffered => f.write_str("the server uses an extension we did not offer (RFC 6455 §4.1)"),
            Self::Several => f.write_str("the server accepted permessage-deflate more than once (RFC 7692 §5.1)"),
            Self::UnknownParameter => {
                f.write_str("the server answered permessage-deflate with an unknown parameter (RFC 7692 §7)")
            }
            Self::Parameter(name) => {
                write!(f, "the parameter {name} of permessage-deflate does not answer our offer (RFC 7692 §7.1)")
            }
        }
    }
}

impl core::error::Error for NegotiationError {}

impl From<Malformed> for NegotiationError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
