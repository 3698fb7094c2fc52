//! Tests of TLS endpoints, including an unknown authority, as in distribution's TestHTTPSink.
//!
//! The certificates are for 127.0.0.1 and valid for a hundred years. The authority's key was not
//! kept.

use crate::{Push, failure};
use buslane::Sink;
use buslane_http::{HttpError, HttpSink, HttpSinkBuilder};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use test_support::{GUARD, Outcome, outcome};

pub(crate) const AUTHORITY: &[u8] = include_bytes!("tls/authority.pem");

/// A TLS session with one client, as a stream.
pub(crate) type Session = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// Starts a TLS server that answers every request with 200.
pub(crate) fn server() -> SocketAddr {
    serve(answer_all)
}

/// Starts a TLS server that runs the script for each connection. Its thread ends with the test
/// process.
pub(crate) fn serve(script: impl Fn(&mut Session) -> std::io::Result<()> + Send + 'static) -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // An answer must not wait for the acknowledgement of the handshake's bytes: a close
            // would discard it.
            connection.set_nodelay(true).unwrap();
            let session = ServerConnection::new(config.clone()).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(session, connection));
            // A client that does not trust the server closes the connection.
            let _ = script(&mut stream);
        }
    });
    address
}

fn answer_all(stream: &mut Session) -> std::io::Result<()> {
    loop {
        let (mut line, mut length) = (String::from("-"), 0);
        while !line.trim().is_empty() {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        stream.read_exact(&mut vec![0; length])?;
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        stream.get_mut().flush()?;
    }
}

fn builder() -> HttpSinkBuilder<Push> {
    HttpSink::builder(&format!("https://{}/", server())).direct().timeout(GUARD)
}

#[test]
fn trusted_endpoint_receives_its_events() {
    let http = builder().root_certificates(AUTHORITY).build().unwrap();
    for _ in 0..2 {
        assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted);
    }
}

#[test]
fn unknown_authority_gets_nothing_and_is_retryable() {
    let (event, error) = failure(builder().build().unwrap().write(Push("hello")));
    assert!(matches!(error, HttpError::Tls(_)), "{error}");
    assert_eq!((event, error.is_retryable()), (Push("hello"), true));
}
