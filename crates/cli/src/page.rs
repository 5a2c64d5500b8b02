//! The page's files, built into the program.

use http::{HeaderValue, Method, StatusCode, header};
use sockeye::{Body, Request, Response};

use crate::answer::plain;

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

/// Answers with the file at the request's path, of which `/` is the page itself; `None` where there is none.
pub(crate) fn answer(request: &Request) -> Option<Response> {
    let file = FILES.iter().find(|file| file.path == request.uri().path())?;
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(file.response());
    }
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET\n");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(answer)
}

impl File {
    fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.bytes));
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, self.content_type),
            // The files change with the program, at no address of their own.
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// The page runs its own scripts and styles, talks to WebSockets, and shows what it received. Nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; \
    img-src 'self' blob: data:; media-src blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal: $name:literal, $content_type:ident;)+) => {
        &[$(File { path: $path, content_type: $content_type, bytes: include_bytes!(concat!("../page/", $name)) }),+]
    };
}

static FILES: &[File] = files! {
    "/": "index.html", HTML;
    "/style.css": "style.css", CSS;
    "/figure.css": "figure.css", CSS;
    "/inspector.css": "inspector.css", CSS;
    "/favicon.svg": "favicon.svg", SVG;
    "/app.js": "app.js", SCRIPT;
    "/assembly.js": "assembly.js", SCRIPT;
    "/connection.js": "connection.js", SCRIPT;
    "/connections.js": "connections.js", SCRIPT;
    "/detail.js": "detail.js", SCRIPT;
    "/dom.js": "dom.js", SCRIPT;
    "/feed.js": "feed.js", SCRIPT;
    "/figure.js": "figure.js", SCRIPT;
    "/files.js": "files.js", SCRIPT;
    "/filter.js": "filter.js", SCRIPT;
    "/frame.js": "frame.js", SCRIPT;
    "/grid.js": "grid.js", SCRIPT;
    "/head.js": "head.js", SCRIPT;
    "/inspector.js": "inspector.js", SCRIPT;
    "/language.js": "language.js", SCRIPT;
    "/list.js": "list.js", SCRIPT;
    "/messages.js": "messages.js", SCRIPT;
    "/own.js": "own.js", SCRIPT;
    "/payload.js": "payload.js", SCRIPT;
    "/raw.js": "raw.js", SCRIPT;
    "/rawframe.js": "rawframe.js", SCRIPT;
    "/rows.js": "rows.js", SCRIPT;
    "/samples.js": "samples.js", SCRIPT;
    "/sparkline.js": "sparkline.js", SCRIPT;
    "/state.js": "state.js", SCRIPT;
    "/store.js": "store.js", SCRIPT;
    "/utf8.js": "utf8.js", SCRIPT;
    "/virtual.js": "virtual.js", SCRIPT;
    "/wire.js": "wire.js", SCRIPT;
    "/words-en.js": "words-en.js", SCRIPT;
    "/words-zh.js": "words-zh.js", SCRIPT;
};
