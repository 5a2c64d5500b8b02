//! permessage-deflate (RFC 7692): messages that travel compressed.
//!
//! The two ends agree on it in the opening handshake. From then on RSV1 on the first frame of a data message says that
//! this message's payload, put together from all its frames, is compressed (§6). A message without it is plain; each
//! end decides that for each message.
//!
//! | section | what it has | here |
//! |---|---|---|
//! | §5, §7.1 | offering, accepting and refusing, parameter by parameter | [`offer`], [`accept`], [`verify`] |
//! | §7.1.1 | context takeover: a message may refer to the ones before it | [`Params::takeover`] |
//! | §7.1.2 | how far back a reference may reach, as a power of two | [`Params::window_bits`] |
//! | §7.2.1 | compressing: flush, and leave the last four bytes away | [`Deflater`] |
//! | §7.2.2 | decompressing: put the four bytes back, inflate | [`Inflater`] |
//! | §8 | secrets beside a peer's data: do not compress them together | send such messages plain |
//!
//! # What it costs
//!
//! | state | memory | who holds it |
//! |---|---|---|
//! | inflating, any window | 47.7 KB | with takeover the connection, for good; without, for the length of a message |
//! | deflating, 9 window bits, memory level 1 | 137 KB | the same |
//! | deflating, 12 window bits, memory level 4 | 158 KB | the same |
//! | deflating, 13 window bits, memory level 4 | 174 KB | the same |
//! | deflating, 15 window bits, memory level 8 | 380 KB | the same |
//!
//! States without takeover are borrowed from a small pool of the thread, so that an idle connection holds none. States
//! with takeover are made when they are first needed, and stay.
//!
//! ```
//! use bytes::BytesMut;
//! use http::{HeaderMap, header::SEC_WEBSOCKET_EXTENSIONS};
//! use sockeye_proto::{Role, deflate::{self, Compression, Deflater, Inflater, Input}};
//!
//! // The client offers, the server accepts, the client looks at what came back.
//! let compression = Compression::no_takeover();
//! let mut request = HeaderMap::new();
//! request.extend(deflate::offer(&compression).map(|offer| (SEC_WEBSOCKET_EXTENSIONS, offer)));
//! let (answer, params) = deflate::accept(&request, &compression)?.expect("the offer is a good one");
//! let response = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, answer)]);
//! assert_eq!(deflate::verify(&response, &compression)?, Some(params));
//!
//! // The server sends a message, the client receives it.
//! let message = b"again and again and again and again".repeat(20);
//! let mut payload = BytesMut::new();
//! assert!(Deflater::new(&compression, params, Role::Server).compress(&message, &mut payload));
//! assert!(payload.len() < 60);
//! let mut received = BytesMut::new();
//! Inflater::new(params, Role::Server).inflate_into(Input::last(&payload), 1 << 20, &mut received)?;
//! assert_eq!(received, message);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compression;
mod params;
mod extension;
mod offer;
mod inflater;
mod deflater;
mod pool;
pub(crate) mod room;

pub use compression::Compression;
pub use deflater::{Deflater, Settings};
pub use inflater::{Inflater, Input, Step};
pub use offer::{NegotiationError, accept, offer, verify};
pub use params::Params;

/// What a flush ends with, and a message is sent without: the length of an empty stored block and its complement.
const TAIL: &[u8; 4] = &[0x00, 0x00, 0xff, 0xff];

/// The most bytes that are inflated, or of deflated ones that are looked at, in one go: what a bomb can be over its
/// limit before somebody notices.
const STEP: usize = 16 << 10;
