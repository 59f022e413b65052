//! Serves `dist/` on this machine.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tiny_http::{Header, Method, Request, Response, Server};

use crate::page;
use crate::run::command;
use crate::site::{Asset, Site};

/// The default port, tried first.
const DEFAULT_PORT: u16 = 8417;

/// Headers of cross-origin isolation, which let a page share memory between threads.
const ISOLATION: [(&str, &str); 3] = [
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

/// Serves the built page until the process ends.
pub(crate) fn serve(port: Option<u16>, open: bool) -> Result<()> {
    let server = listen(port)?;
    let url = address(&server)?;
    println!("\nSpecola is at {url}  (Ctrl-C ends it)");
    if open {
        open_in_browser(&url);
    }
    handle_requests(&server, &Arc::new(Site::new(&page::dist())?));
    Ok(())
}

/// Serves the built page in a background thread and returns its address.
pub(crate) fn serve_page_in_background() -> Result<String> {
    serve_in_background(Site::new(&page::dist())?)
}

/// Serves a site in a background thread and returns its address.
pub(crate) fn serve_in_background(site: Site) -> Result<String> {
    let server = listen(Some(0))?;
    let url = address(&server)?;
    std::thread::spawn(move || handle_requests(&server, &Arc::new(site)));
    Ok(url)
}

/// Listens on the loopback address only, so that other machines have no access.
fn listen(port: Option<u16>) -> Result<Server> {
    let start =
        |port: u16| Server::http(("127.0.0.1", port)).map_err(|error| anyhow!("listening on port {port}: {error}"));
    match port {
        Some(port) => start(port),
        None => start(DEFAULT_PORT).or_else(|_| start(0)),
    }
}

fn address(server: &Server) -> Result<String> {
    let address = server.server_addr().to_ip().context("the server listens on no IP address")?;
    Ok(format!("http://{address}/"))
}

fn handle_requests(server: &Server, site: &Arc<Site>) {
    for request in server.incoming_requests() {
        let site = site.clone();
        // A slow client must not delay the others.
        std::thread::spawn(move || {
            let response = respond(&request, &site);
            // A closed connection is not an error.
            request.respond(response).ok();
        });
    }
}

type Bytes = Response<std::io::Cursor<Vec<u8>>>;

fn respond(request: &Request, site: &Site) -> Bytes {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return plain(405, "Only GET and HEAD are answered here.\n").with_header(header("Allow", "GET, HEAD"));
    }
    let Some(asset) = site.get(request.url()) else {
        return plain(404, "There is no such file.\n");
    };
    let mut response = file(&asset, header_of(request, "If-None-Match"), header_of(request, "Accept-Encoding"));
    if site.is_isolated {
        for (name, value) in ISOLATION {
            response = response.with_header(header(name, value));
        }
    }
    response
}

fn file(asset: &Asset, if_none_match: Option<&str>, accept_encoding: Option<&str>) -> Bytes {
    let is_cached =
        if_none_match.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.etag));
    let accepts_gzip = accept_encoding.is_some_and(|codings| {
        codings.split(',').any(|coding| {
            coding.split(';').next().is_some_and(|name| name.trim() == "gzip") && !coding.ends_with("q=0")
        })
    });
    let gzip = asset.gzip.as_ref().filter(|_| accepts_gzip);
    let (status, body) = match (is_cached, gzip) {
        (true, _) => (304, Vec::new()),
        (false, Some(gzip)) => (200, gzip.clone()),
        (false, None) => (200, asset.body.clone()),
    };
    let mut response = Response::from_data(body)
        .with_status_code(status)
        // tiny_http would send long bodies in chunks, without a length.
        .with_chunked_threshold(usize::MAX)
        .with_header(header("Content-Type", asset.mime))
        .with_header(header("Cache-Control", asset.caching))
        .with_header(header("ETag", &asset.etag))
        .with_header(header("Vary", "Accept-Encoding"))
        .with_header(header("X-Content-Type-Options", "nosniff"));
    if status == 200 && gzip.is_some() {
        response = response.with_header(header("Content-Encoding", "gzip"));
    }
    response
}

fn plain(status: u16, text: &str) -> Bytes {
    Response::from_data(text).with_status_code(status).with_header(header("Content-Type", "text/plain; charset=utf-8"))
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("header names and values here are plain ASCII")
}

fn header_of<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str())
}

/// Opens an address in the user's browser.
pub(crate) fn open_in_browser(url: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    if command(program).arg(url).spawn().is_err() {
        println!("(no {program} on this machine: open the address yourself)");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    /// Sends the text of a request and returns head and body of the response.
    fn send(address: &str, request: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{request}\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        let end = response.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        (String::from_utf8_lossy(&response[..end]).to_lowercase(), response[end + 4..].to_vec())
    }

    #[test]
    fn responds_as_a_static_host() {
        let dir = std::env::temp_dir().join(format!("specola-serve-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let script = "console.log('hello');\n".repeat(200);
        std::fs::write(dir.join("app.js"), &script).unwrap();
        let server = listen(Some(0)).unwrap();
        let address = server.server_addr().to_ip().unwrap().to_string();
        let site = Arc::new(Site::new(&dir).unwrap());
        std::thread::spawn(move || handle_requests(&server, &site));

        let (head, body) = send(&address, "GET /app.js HTTP/1.1");
        assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/javascript"), "{head}");
        assert_eq!(body, script.as_bytes());
        let (head, body) = send(&address, "GET /app.js HTTP/1.1\r\nAccept-Encoding: br, gzip");
        assert!(head.contains("content-encoding: gzip"), "{head}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, script);
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
        let (head, body) = send(&address, &format!("GET /app.js HTTP/1.1\r\nIf-None-Match: {etag}"));
        assert!(head.starts_with("http/1.1 304") && body.is_empty(), "{head}");
        let (head, body) = send(&address, "HEAD /app.js HTTP/1.1");
        assert!(head.starts_with("http/1.1 200") && body.is_empty(), "{head}");
        assert!(send(&address, "GET /nothing HTTP/1.1").0.starts_with("http/1.1 404"));
        assert!(send(&address, "POST /app.js HTTP/1.1\r\nContent-Length: 0").0.starts_with("http/1.1 405"));
    }
}
