//! The planner's side of the coordinator's HTTP/JSON API, over hyper's HTTP/1.1 connection and plain TCP.
//!
//! There is no TLS here on purpose: the coordinator is trusted for nothing but staying up. What goes up is signed by the
//! planner, what comes down is signed by each party and sealed to a key only this process has; see the crate's docs.

use crate::error::Error;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpStream;

/// The coordinator's API at one address.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    authority: String,
    prefix: String,
    connect_within: Duration,
}

/// An answer that is not a success: what the coordinator said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The body, a short text (or JSON) for a person.
    pub body: String,
}

impl Api {
    /// The API at `base`, such as `http://127.0.0.1:7180`.
    ///
    /// # Errors
    /// The address is not `http://host[:port][/path]`.
    pub fn new(base: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::config(format!("the coordinator's address `{base}` {why}"));
        let rest = base.strip_prefix("http://").ok_or_else(|| match base.starts_with("https://") {
            true => bad("is https; this client speaks plain HTTP (the notes are signed and sealed by themselves): \
                 put http:// there, or run a local TLS proxy and name its http address as `coordinator` in planner.toml"),
            false => bad("does not begin with http://"),
        })?;
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if host.is_empty() || host.contains('@') {
            return Err(bad("has no host; write http://host:port"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok()) && !host.ends_with(']');
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Self { base: base.trim_end_matches('/').to_owned(), authority, prefix, connect_within: Duration::from_secs(5) })
    }

    /// The address it was made from.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `GET path`, a JSON body of at most [`BODY_CAP`] bytes.
    ///
    /// # Errors
    /// The coordinator is out of reach or does not answer with this JSON; or `Ok(Err(problem))` when it says no.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Result<T, Problem>, Error> {
        self.exchange(Method::GET, path, Bytes::new()).await
    }

    /// `GET path`, a text; nothing if there is none to be had.
    pub async fn text(&self, path: &str) -> Option<String> {
        String::from_utf8(self.bytes(path).await?).ok()
    }

    /// `GET path`, whatever it is; nothing if there is none to be had.
    pub async fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let answer = async {
            let response = self.send(Method::GET, path, Bytes::new(), None).await.ok().filter(|response| response.status().is_success())?;
            let body = Limited::new(response.into_body(), BODY_CAP).collect().await.ok()?;
            Some(body.to_bytes().to_vec())
        };
        tokio::time::timeout(ANSWER_WITHIN, answer).await.ok().flatten()
    }

    /// `POST path` with a JSON body, a JSON answer.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<Result<T, Problem>, Error> {
        let body = serde_json::to_vec(body).map_err(|e| Error::internal(format!("the request to {path}: {e}")))?;
        self.exchange(Method::POST, path, body.into()).await
    }

    /// `POST path` with a text, a JSON answer.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn post_text<T: DeserializeOwned>(&self, path: &str, text: String) -> Result<Result<T, Problem>, Error> {
        self.exchange(Method::POST, path, text.into()).await
    }

    /// `DELETE path` with a JSON body, a JSON answer.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<Result<T, Problem>, Error> {
        let body = serde_json::to_vec(body).map_err(|e| Error::internal(format!("the request to {path}: {e}")))?;
        self.exchange(Method::DELETE, path, body.into()).await
    }

    /// Whether `GET path` succeeds; the body is not read.
    pub async fn succeeds(&self, path: &str) -> bool {
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.send(Method::GET, path, Bytes::new(), None)).await;
        matches!(answer, Ok(Ok(response)) if response.status().is_success())
    }

    /// `GET path` as a stream of server-sent events behind the event `last`, line by line.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn events(&self, path: &str, last: Option<u64>) -> Result<Result<Lines, Problem>, Error> {
        let last = last.map(|seq| ("last-event-id", seq.to_string()));
        let response = self.send(Method::GET, path, Bytes::new(), last).await?;
        if response.status().is_success() {
            return Ok(Ok(Lines { body: response.into_body(), read: Vec::new(), api: self.base.clone() }));
        }
        Ok(Err(self.problem(response).await?))
    }

    async fn exchange<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<Result<T, Problem>, Error> {
        let answer = async {
            let response = self.send(method, path, body, None).await?;
            if !response.status().is_success() {
                return Ok(Err(self.problem(response).await?));
            }
            let bytes = self.body(response).await?;
            let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
            serde_json::from_slice(bytes).map(Ok).map_err(|e| {
                Error::connection(
                    &self.base,
                    format!("its answer to {path} is not what this version of tacit expects ({e}); is it a coordinator, of this version?"),
                )
            })
        };
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::connection(&self.base, format!("no answer to {path} within {ANSWER_WITHIN:?}"))),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Bytes, extra: Option<(&str, String)>) -> Result<Response<Incoming>, Error> {
        let mut sender = self.connect().await?;
        let request = extra.into_iter().fold(Request::builder(), |request, (name, value)| request.header(name, value));
        let request = request
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("tacit/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|e| Error::config(format!("the address {}{path}: {e}", self.base)))?;
        sender.send_request(request).await.map_err(|e| Error::connection(&self.base, format!("{path}: {e}")))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Error> {
        let reach = |e: String| {
            Error::connection(
                &self.base,
                format!("{e}; is the coordinator running, and is `api` in roster.toml its address? (`tacit doctor` checks)"),
            )
        };
        let connect = tokio::time::timeout(self.connect_within, TcpStream::connect(&self.authority));
        let tcp = connect
            .await
            .map_err(|_| reach(format!("no connection within {:?}", self.connect_within)))?
            .map_err(|e| reach(e.to_string()))?;
        tcp.set_nodelay(true).ok();
        let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await.map_err(|e| reach(e.to_string()))?;
        // Ends by itself once the answer is read or the sender is dropped; its error reaches the reader of the body too.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Bytes, Error> {
        let body = Limited::new(response.into_body(), BODY_CAP).collect().await;
        Ok(body.map_err(|e| Error::connection(&self.base, format!("its answer broke off: {e}")))?.to_bytes())
    }

    async fn problem(&self, response: Response<Incoming>) -> Result<Problem, Error> {
        let status = response.status();
        let body = self.body(response).await?;
        let mut text: String = String::from_utf8_lossy(&body[..body.len().min(LINE_CAP)]).trim().to_owned();
        if text.is_empty() {
            text = status.canonical_reason().unwrap_or("no reason given").to_owned();
        }
        Ok(Problem { status: status.as_u16(), body: text })
    }
}

impl Problem {
    /// Whether it may pass by itself: the coordinator is starting, stopping or busy.
    pub fn is_passing(&self) -> bool {
        self.status >= 500 || self.status == StatusCode::TOO_MANY_REQUESTS.as_u16()
    }
}

/// A body read line by line as it arrives.
pub struct Lines {
    body: Incoming,
    read: Vec<u8>,
    api: String,
}

impl Lines {
    /// The next line without its end; `None` when the body ends.
    ///
    /// # Errors
    /// The connection broke off, or a line is longer than any the coordinator sends.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            if let Some(at) = self.read.iter().position(|b| *b == b'\n') {
                let rest = self.read.split_off(at + 1);
                let line = std::mem::replace(&mut self.read, rest);
                return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()));
            }
            if self.read.len() > LINE_CAP {
                return Err(Error::connection(&self.api, "a line of its events is longer than 1 MiB".into()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(e)) => return Err(Error::connection(&self.api, format!("its events broke off: {e}"))),
                Some(Ok(frame)) => self.read.extend_from_slice(frame.data_ref().map_or(&[][..], |d| &d[..])),
            }
        }
    }
}

/// Longest body read: three sealed results with room to spare.
pub const BODY_CAP: usize = 256 << 20;
/// Longest line of events.
pub const LINE_CAP: usize = 1 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let api = Api::new("http://127.0.0.1:7180/").expect("an address");
        assert_eq!((api.authority.as_str(), api.prefix.as_str()), ("127.0.0.1:7180", ""));
        let api = Api::new("http://city.example/tacit/").expect("an address");
        assert_eq!((api.authority.as_str(), api.prefix.as_str()), ("city.example:80", "/tacit"));
        let api = Api::new("http://[::1]:80").expect("an address");
        assert_eq!(api.authority, "[::1]:80");
        assert_eq!(Api::new("http://[::1]").expect("an address").authority, "[::1]:80");
        for (bad, says) in [("https://x", "https"), ("ftp://x", "http://"), ("http:///x", "host")] {
            assert!(Api::new(bad).expect_err(bad).to_string().contains(says), "{bad}");
        }
    }
}
