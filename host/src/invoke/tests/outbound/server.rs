//! Servers that answer well, badly, slowly or not at all, by the path of the request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::LOOPBACK;

/// A server on this machine. Its threads end with the tests' process.
pub(super) struct Server {
    pub(super) port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    /// The heads of the requests.
    requests: Mutex<Vec<String>>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::listen(LOOPBACK, None)
    }

    pub(super) fn with_tls(config: ServerConfig) -> Self {
        Self::listen(LOOPBACK, Some(Arc::new(config)))
    }

    fn listen(address: IpAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(SocketAddr::new(address, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Seen::default());
        thread::spawn({
            let seen = seen.clone();
            move || {
                for stream in listener.incoming() {
                    let (stream, seen, tls) = (stream.expect("a connection"), seen.clone(), tls.clone());
                    seen.connections.fetch_add(1, SeqCst);
                    thread::spawn(move || match tls {
                        None => serve(Plain(stream), &seen),
                        Some(tls) => {
                            let connection = ServerConnection::new(tls).expect("a configuration");
                            serve(Secured(Box::new(StreamOwned::new(connection, stream))), &seen);
                        }
                    });
                }
            }
        });
        Self { port, seen }
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().expect("the requests").clone()
    }
}

trait Stream: Read + Write {}

struct Plain(TcpStream);
struct Secured(Box<StreamOwned<ServerConnection, TcpStream>>);

macro_rules! delegate {
    ($($stream:ty),*) => {$(
        impl Stream for $stream {}
        impl Read for $stream {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(into)
            }
        }
        impl Write for $stream {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                self.0.flush()
            }
        }
    )*};
}
delegate!(Plain, Secured);

/// Answers requests until the other side has gone.
fn serve(stream: impl Stream, seen: &Seen) {
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_head(&mut stream) {
        seen.requests.lock().expect("the requests").push(head.clone());
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if answer(&mut stream, &head, &path).is_err() {
            return;
        }
    }
}

fn read_head(stream: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// `Err` where the connection is to be closed.
fn answer(stream: &mut BufReader<impl Stream>, head: &str, path: &str) -> std::io::Result<()> {
    let closed = || Err(std::io::ErrorKind::ConnectionAborted.into());
    let (path, argument) = path.split_once('?').unwrap_or((path, ""));
    match path {
        "/echo" => respond(stream, "200 OK", &[], head.as_bytes()),
        "/redirect" => respond(stream, "302 Found", &[format!("location: {argument}")], b"elsewhere"),
        "/large" => respond(stream, "200 OK", &[], &vec![b'x'; argument.parse().expect("a number")]),
        "/headers" => {
            let count: usize = argument.parse().expect("a number");
            let headers: Vec<_> = (0..count).map(|n| format!("x-{n}: {}", "v".repeat(100))).collect();
            respond(stream, "200 OK", &headers, b"")
        }
        "/upload" => {
            let received = receive_chunks(stream)?;
            respond(stream, "200 OK", &[], received.to_string().as_bytes())
        }
        "/closing" => {
            respond(stream, "200 OK", &["connection: close".to_owned()], b"hello")?;
            closed()
        }
        "/slow" => hold(stream),
        "/stall" => {
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")?;
            stream.get_mut().flush()?;
            hold(stream)
        }
        "/half" => {
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")?;
            stream.get_mut().flush()?;
            closed()
        }
        "/garbage" => {
            stream.get_mut().write_all(b"220 mail.example ESMTP\r\n")?;
            stream.get_mut().flush()?;
            hold(stream)
        }
        "/hang-up" => closed(),
        _ => respond(stream, "200 OK", &[], b"hello"),
    }
}

fn respond(stream: &mut BufReader<impl Stream>, status: &str, headers: &[String], body: &[u8]) -> std::io::Result<()> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}

/// Says nothing until the other side hangs up.
fn hold(stream: &mut BufReader<impl Stream>) -> std::io::Result<()> {
    std::io::copy(stream, &mut std::io::sink()).map(drop)
}

/// Reads a chunked body, and returns its bytes' number.
fn receive_chunks(stream: &mut impl BufRead) -> std::io::Result<usize> {
    let mut received = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let size = usize::from_str_radix(line.trim(), 16).expect("the size of a chunk");
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(received);
        }
        received += size;
    }
}
