//! Credentials in heads of HTTP, replaced by as many `*`: lengths and offsets stay what they were.

use sockeye_proto::Role;

/// Looks for credentials in what both ends of a connection send, line by line, until a WebSocket is open or it turns out to
/// be something else. Where it is ordinary HTTP it goes on for as long as that does, in bodies, too: a second request may
/// have what the first one had.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    client: Lines,
    server: Lines,
    /// Frames follow, in both directions.
    is_open: bool,
}

/// The lines of one direction.
#[derive(Debug, Default)]
struct Lines {
    /// The line at hand, as far as it has come.
    held: Vec<u8>,
    place: Place,
    /// Whether the response at hand is a 101.
    switches: bool,
    /// Whether the field at hand has a credential for a value, which may go on in the next line.
    is_secret: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the first byte.
    #[default]
    Start,
    /// Before the first line of a head.
    FirstLine,
    /// Among fields, or in what may be read as such.
    Fields,
    /// This is no HTTP.
    Through,
}

/// The longest line that is held, in bytes. Of a longer one nothing is shown.
const MAX_LINE: usize = 16 << 10;

/// From so many bytes on an element of `Sec-WebSocket-Protocol` is taken for a token: hardly a subprotocol has so long a
/// name.
const TOKEN: usize = 32;

/// Something to be recorded: who sent it, what, and whether a part of it was replaced.
type Redacted = (Role, Vec<u8>, bool);

impl Redactor {
    /// Whether there is nothing more to look for, in either direction.
    pub(super) fn is_through(&self) -> bool {
        let through = |lines: &Lines| lines.place == Place::Through && lines.held.is_empty();
        self.is_open || (through(&self.client) && through(&self.server))
    }

    /// Takes what an end has sent; gives what of it, and of what was held before, can be recorded.
    pub(super) fn push(&mut self, from: Role, bytes: &[u8]) -> Vec<Redacted> {
        if self.is_open {
            return vec![(from, bytes.to_vec(), false)];
        }
        let lines = self.of(from);
        lines.held.extend_from_slice(bytes);
        let (mut out, mut redacted) = (Vec::new(), false);
        let mut opens = false;
        while let Some(mut line) = lines.next(from) {
            opens = lines.take(from, &mut line, &mut redacted);
            out.extend(line);
            if opens {
                break;
            }
        }
        let mut all = Vec::new();
        if opens {
            self.is_open = true;
            // What the client has sent too early comes first, as it has.
            all.push((Role::Client, core::mem::take(&mut self.client.held), false));
            out.append(&mut self.server.held);
        }
        all.push((from, out, redacted));
        all.retain(|(_, bytes, _)| !bytes.is_empty());
        all
    }

    /// The connection has ended, or bytes are missing: what is held. The line it is a part of may be anything.
    pub(super) fn finish(&mut self) -> Vec<Redacted> {
        let mut all = Vec::new();
        for role in [Role::Client, Role::Server] {
            let lines = self.of(role);
            let mut line = core::mem::take(&mut lines.held);
            if !line.is_empty() {
                mask(&mut line);
                all.push((role, line, true));
            }
        }
        all
    }

    const fn of(&mut self, role: Role) -> &mut Lines {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }
}

impl Lines {
    /// The next line that is whole, or what else can be judged.
    fn next(&mut self, from: Role) -> Option<Vec<u8>> {
        if self.held.is_empty() {
            return None;
        }
        if self.place == Place::Start {
            self.place = if begins_as_http(&self.held, from)? { Place::FirstLine } else { Place::Through };
        }
        if self.place == Place::Through {
            return Some(core::mem::take(&mut self.held));
        }
        match self.held.iter().position(|&byte| byte == b'\n') {
            Some(end) => Some(self.held.drain(..=end).collect()),
            None if self.held.len() > MAX_LINE => Some(core::mem::take(&mut self.held)),
            None => None,
        }
    }

    /// Replaces what is a credential in a line. Says whether it ends a response that opens a WebSocket.
    fn take(&mut self, from: Role, line: &mut [u8], redacted: &mut bool) -> bool {
        if self.place == Place::Through {
            return false;
        }
        if line.trim_ascii().is_empty() {
            // A head ends. What follows may be another one: after an interim response, say.
            let ends = self.place == Place::Fields;
            self.place = Place::FirstLine;
            return ends && from == Role::Server && self.switches;
        }
        if !line.ends_with(b"\n") {
            // Longer than is held. What comes of it later looks like the continuation of a field.
            mask(line);
            (*redacted, self.is_secret, self.place) = (true, true, Place::Fields);
            return false;
        }
        let is_first = self.place == Place::FirstLine;
        self.place = Place::Fields;
        if from == Role::Server && line.starts_with(b"HTTP/") {
            self.switches = line.split(|&byte| byte == b' ').nth(1).is_some_and(|status| status.starts_with(b"101"));
            self.is_secret = false;
        } else if is_first && !line.starts_with(b"HTTP/") && line_has_version(line) {
            self.is_secret = false;
            let target = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
            *redacted |= mask_url(&mut line[target..]);
        } else if matches!(line[0], b' ' | b'\t') || self.is_secret && !line.contains(&b':') {
            if self.is_secret {
                *redacted |= mask(line);
            }
        } else {
            *redacted |= self.take_field(line);
        }
        false
    }

    fn take_field(&mut self, line: &mut [u8]) -> bool {
        let end = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at_mut(end);
        let name = name.trim_ascii().to_ascii_lowercase();
        self.is_secret = is_secret(&name) && !name.starts_with(b"sec-websocket-");
        let Some((_, value)) = value.split_first_mut() else { return false };
        match &name[..] {
            _ if self.is_secret => mask(value),
            b"sec-websocket-protocol" => {
                let elements = value.split_mut(|byte| matches!(byte, b',' | b' ' | b'\t' | b'\r' | b'\n'));
                elements.filter(|element| element.len() >= TOKEN).fold(false, |_, element| mask(element))
            }
            b"location" | b"referer" | b"content-location" | b"link" => mask_url(value),
            _ => false,
        }
    }
}

/// Whether these are the first bytes of HTTP, and not of frames or of TLS; `None` as long as they are too few to tell.
fn begins_as_http(bytes: &[u8], from: Role) -> Option<bool> {
    const VERSION: &[u8] = b"HTTP/";
    /// Longer than any method.
    const METHOD: usize = 24;
    let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let line = &bytes[empty..];
    match from {
        _ if empty > METHOD => Some(false),
        Role::Server if line.len() < VERSION.len() => (!VERSION.starts_with(line)).then_some(false),
        Role::Server => Some(line.starts_with(VERSION)),
        Role::Client => match line.iter().position(|byte| !byte.is_ascii_alphabetic() && *byte != b'-') {
            Some(end) => Some(end > 0 && line[end] == b' '),
            None => (line.len() > METHOD).then_some(false),
        },
    }
}

/// Whether a first line is a request's: `GET /chat HTTP/1.1`.
fn line_has_version(line: &[u8]) -> bool {
    line.trim_ascii().rsplit(|&byte| byte == b' ').next().is_some_and(|last| last.starts_with(b"HTTP/"))
}

/// Whether a field or parameter of this name, in lower case, mostly has a credential for a value.
fn is_secret(name: &[u8]) -> bool {
    const WORDS: [&str; 17] = [
        "auth",
        "cookie",
        "token",
        "secret",
        "passw",
        "passphrase",
        "pwd",
        "apikey",
        "api-key",
        "api_key",
        "access-key",
        "access_key",
        "session",
        "credential",
        "jwt",
        "signature",
        "ticket",
    ];
    let name = String::from_utf8_lossy(name);
    // `:authority` is HTTP/2's and `WWW-Authenticate` asks for credentials; neither is one.
    let harmless = name.ends_with("authenticate") || name.ends_with("authority") || name.contains("author ");
    matches!(&name[..], "key" | "sid" | "sig" | "pass" | "code")
        || (!harmless && WORDS.iter().any(|word| name.contains(word)))
}

/// Replaces all but white space.
fn mask(bytes: &mut [u8]) -> bool {
    let mut changed = false;
    for byte in bytes.iter_mut().filter(|byte| !byte.is_ascii_whitespace()) {
        (*byte, changed) = (b'*', true);
    }
    changed
}

/// A URL without its credentials.
pub(super) fn url(url: &str) -> String {
    let mut bytes = url.as_bytes().to_vec();
    mask_url(&mut bytes);
    // Only whole parts between ASCII signs were replaced.
    String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(url.len()))
}

/// Replaces a `user:password@`, and the values of parameters whose names speak of credentials.
fn mask_url(url: &mut [u8]) -> bool {
    let mut changed = false;
    if let Some(start) = url.windows(3).position(|three| three == b"://").map(|at| at + 3) {
        let end = url[start..]
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#' | b' '))
            .map_or(url.len(), |at| start + at);
        if let Some(at) = url[start..end].iter().rposition(|&byte| byte == b'@') {
            changed |= mask(&mut url[start..start + at]);
        }
    }
    // Parameters stand behind a `?`, or, as some answer to a login, behind a `#`.
    let Some(start) = url.iter().position(|byte| matches!(byte, b'?' | b'#')) else { return changed };
    for parameter in url[start + 1..].split_mut(|byte| matches!(byte, b'&' | b';' | b'?' | b'#' | b' ' | b'>' | b'"')) {
        let Some(equals) = parameter.iter().position(|&byte| byte == b'=') else { continue };
        let (name, value) = parameter.split_at_mut(equals + 1);
        if is_secret(&decoded(&name[..equals]).to_ascii_lowercase()) {
            changed |= mask(value);
        }
    }
    changed
}

/// A name in which letters may stand as `%74`.
fn decoded(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| byte == b'%').and_then(|digits| core::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(meant) => {
                decoded.push(meant);
                rest = &after[2..];
            }
            None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is recorded of these heads, whichever pieces they come in.
    fn recorded(client: &str, server: &str) -> (String, String) {
        let all = |step: usize| {
            let mut redactor = Redactor::default();
            let (mut out, mut sent) = ([Vec::new(), Vec::new()], Vec::new());
            sent.extend(client.as_bytes().chunks(step).map(|piece| (Role::Client, piece)));
            sent.extend(server.as_bytes().chunks(step).map(|piece| (Role::Server, piece)));
            let mut keep = |all: Vec<Redacted>| {
                for (role, bytes, _) in all {
                    out[usize::from(role == Role::Server)].extend(bytes);
                }
            };
            for (role, piece) in sent {
                keep(redactor.push(role, piece));
            }
            keep(redactor.finish());
            out.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        let whole = all(usize::MAX);
        for step in [1, 2, 3, 7, 30] {
            assert_eq!(all(step), whole, "in pieces of {step}");
        }
        assert_eq!((whole[0].len(), whole[1].len()), (client.len(), server.len()));
        let [client, server] = whole;
        (client, server)
    }

    #[test]
    fn credentials_become_stars_and_nothing_else_does() {
        let request = "GET /chat?room=1&access_token=abc&%54oken=d;x=y HTTP/1.1\r\nHost: example.com\r\n\
            Authorization: Basic dXNlcjpwYXNz\r\nCookie: a=b; c=d\r\n folded=e\r\nX-Api-Key: 123\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nReferer: https://me:pw@example.com/?q=1&sid=7\r\n\
            Sec-WebSocket-Protocol: graphql-transport-ws, eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.sig\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
        let (request, response) =
            recorded(request, "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nWWW-Authenticate: Basic\r\n\r\nhi\r\n");
        assert_eq!(
            request,
            "GET /chat?room=1&access_token=***&%54oken=*;x=y HTTP/1.1\r\nHost: example.com\r\n\
            Authorization: ***** ************\r\nCookie: **** ***\r\n ********\r\nX-Api-Key: ***\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nReferer: https://*****@example.com/?q=1&sid=*\r\n\
            Sec-WebSocket-Protocol: graphql-transport-ws, *****************************************\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        );
        assert_eq!(response, "HTTP/1.1 200 OK\r\nSet-Cookie: ***\r\nWWW-Authenticate: Basic\r\n\r\nhi\r\n");
    }

    #[test]
    fn a_second_request_has_none_either() {
        let request = "GET / HTTP/1.1\r\nCookie: a\r\n\r\nGET /?token=b HTTP/1.1\r\nCookie: b\r\n\r\n";
        let (request, _) = recorded(request, "HTTP/1.1 401 Unauthorized\r\n\r\n");
        assert_eq!(request, "GET / HTTP/1.1\r\nCookie: *\r\n\r\nGET /?token=* HTTP/1.1\r\nCookie: *\r\n\r\n");
    }

    #[test]
    fn frames_are_recorded_as_they_are() {
        let response = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 \r\nUpgrade: websocket\r\n\r\n";
        let frames = "\u{1}\u{20}Cookie: a\r\nAuthorization: b\r\n\r\n";
        let (_, server) = recorded("GET / HTTP/1.1\r\n\r\n", &(response.to_owned() + frames));
        assert_eq!(server, response.to_owned() + frames);
        // So they are where the handshake is missing. A compressed text that goes on begins with an A.
        for frames in [frames, "A\u{7f}Cookie: a\r\n", "AGAIN\r\nCookie: a\r\n"] {
            assert_eq!(recorded(frames, frames), (frames.to_owned(), frames.to_owned()));
        }
    }

    #[test]
    fn a_line_without_end_shows_nothing() {
        let line = format!("GET / HTTP/1.1\r\nX: {}\r\nHost: a\r\n\r\n", "a".repeat(2 * MAX_LINE));
        let mut redactor = Redactor::default();
        let out: Vec<u8> = line
            .as_bytes()
            .chunks(100)
            .flat_map(|piece| redactor.push(Role::Client, piece))
            .flat_map(|(_, bytes, _)| bytes)
            .collect();
        let out = String::from_utf8(out).unwrap();
        assert!(!out.contains("aaa") && out.ends_with("\r\nHost: a\r\n\r\n"), "{}", &out[out.len() - 60..]);
    }

    #[test]
    fn a_url_keeps_its_length() {
        assert_eq!(url("wss://user:pw@example.com/a?key=1&é=2"), "wss://*******@example.com/a?key=*&é=2");
        assert_eq!(url("ws://example.com"), "ws://example.com");
    }
}
