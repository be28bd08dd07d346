//! A web server with a single page, for nodes in whose place an image would have one.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{WRONG, say};

const USAGE: &str = "usage: nslab web [--page TEXT] [--file PATH] [PORT]     answers each HTTP request with the file, where \
there is one, or else with the text; `{host}` and `{address}` in it are the node's name and the address that was asked";
const DEFAULT_PAGE: &str = "{host} - {address}";
/// Connections beyond these are closed at once.
const MOST: usize = 64;
/// No request's head is longer, in bytes.
const LONGEST: usize = 8192;
/// No file is longer, in bytes.
const LONGEST_FILE: u64 = 1 << 20;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to listen where another program does.
const PAUSE: Duration = Duration::from_secs(1);

/// What is served.
#[derive(Debug, PartialEq)]
struct Wanted {
    port: u16,
    page: String,
    file: Option<PathBuf>,
}

pub(super) fn run(words: &[&str]) -> i32 {
    let Some(wanted) = read(words) else {
        eprintln!("{USAGE}");
        return WRONG;
    };
    let listener = listen(wanted.port);
    if !say(&format!("listening on port {}\n", wanted.port)) {
        return 1;
    }
    let wanted = Arc::new(wanted);
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Too many open files, say: that may pass.
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        if open.fetch_add(1, Ordering::Relaxed) >= MOST {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (wanted, count) = (Arc::clone(&wanted), Arc::clone(&open));
        let started = std::thread::Builder::new().spawn(move || {
            // Whoever asks may go away at any time.
            let _ = serve(stream, &wanted);
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn read(words: &[&str]) -> Option<Wanted> {
    let mut wanted = Wanted {
        port: 80,
        page: DEFAULT_PAGE.to_owned(),
        file: None,
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "--page" => wanted.page = (*rest.next()?).to_owned(),
            "--file" => wanted.file = Some(PathBuf::from(rest.next()?)),
            port => wanted.port = port.parse().ok().filter(|port| *port > 0)?,
        }
    }
    Some(wanted)
}

/// Listens for both families, or for IPv4 where there is no IPv6. Another program may have the port; it is waited for.
fn listen(port: u16) -> TcpListener {
    let mut told = false;
    loop {
        let v6 = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
        let listening = match v6 {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
            }
            v6 => v6,
        };
        match listening {
            Ok(listener) => return listener,
            Err(error) if !told => {
                eprintln!("nslab: cannot listen on port {port} yet: {error}");
                told = true;
            }
            Err(_) => {}
        }
        std::thread::sleep(PAUSE);
    }
}

fn serve(mut stream: TcpStream, wanted: &Wanted) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = head(&mut stream)?;
    let address = stream.local_addr()?.ip().to_canonical().to_string();
    let host = nix::unistd::gethostname().unwrap_or_default();
    let page = match wanted.file.as_deref().and_then(file) {
        Some(page) => page,
        None => {
            let text = wanted.page.replace("{host}", &host.to_string_lossy());
            (text.replace("{address}", &address) + "\n").into_bytes()
        }
    };
    let answer = answer(&head, &page);
    stream.write_all(&answer)
}

/// The head of a request, or as much as came in time.
fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let end = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !is_whole(&head) && head.len() < LONGEST {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            count => head.extend_from_slice(&part[..count]),
        }
    }
    Ok(head)
}

fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|four| four == b"\r\n\r\n") || head.windows(2).any(|two| two == b"\n\n")
}

fn file(path: &Path) -> Option<Vec<u8>> {
    let file = crate::kernel::file::open(path).ok()?;
    let mut page = Vec::new();
    file.take(LONGEST_FILE).read_to_end(&mut page).ok()?;
    Some(page)
}

/// What is answered to a request (RFC 9110, RFC 9112).
fn answer(head: &[u8], page: &[u8]) -> Vec<u8> {
    let (status, page) = if !is_whole(head) {
        ("400 Bad Request", &b""[..])
    } else if head.starts_with(b"GET ") || head.starts_with(b"HEAD ") {
        ("200 OK", page)
    } else {
        ("405 Method Not Allowed", &b""[..])
    };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nServer: nslab\r\nContent-Type: text/html\r\nContent-Length: {}\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n",
        page.len()
    )
    .into_bytes();
    if !head.starts_with(b"HEAD ") {
        answer.extend_from_slice(page);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_as_they_are() {
        let status = |head: &str| {
            let answer = String::from_utf8(answer(head.as_bytes(), b"page")).unwrap();
            let status = answer.split_whitespace().nth(1).unwrap().to_owned();
            (status, answer.ends_with("\r\n\r\npage"))
        };
        assert_eq!(
            status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("200".to_owned(), true)
        );
        assert_eq!(status("GET /x\n\n"), ("200".to_owned(), true));
        assert_eq!(status("HEAD / HTTP/1.0\r\n\r\n"), ("200".to_owned(), false));
        assert_eq!(status("POST / HTTP/1.1\r\n\r\n"), ("405".to_owned(), false));
        assert_eq!(status("GET / HTTP/1.1\r\n"), ("400".to_owned(), false));
        assert_eq!(status(""), ("400".to_owned(), false));
    }

    #[test]
    fn what_is_served_is_read() {
        let wanted = read(&["--page", "x", "8080", "--file", "/f"]).unwrap();
        assert_eq!((wanted.port, wanted.page.as_str()), (8080, "x"));
        assert_eq!(read(&[]).unwrap().port, 80);
        for wrong in [&["0"][..], &["x"], &["--page"], &["65536"]] {
            assert_eq!(read(wrong), None);
        }
    }
}
