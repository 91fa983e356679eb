//! A plain HTTP/1.1 client that can also be rude: it sends what it is told to, byte by byte if need be.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::within;

/// A request, as text.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    verb: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// One connection, kept alive as long as the server does.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Request {
    pub(crate) fn new(verb: &str, path: &str) -> Self {
        Self {
            verb: verb.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn json(self, data: &Value) -> Self {
        self.typed("application/json", data.to_string())
    }

    pub(crate) fn typed(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut typed = self.header("content-type", content_type);
        typed.body = body.into();
        typed
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: test\r\n", self.verb, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(addr))
            .await
            .expect("the node listens");
        Self::over(stream)
    }

    /// Speaks over a connection that is there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn send(&mut self, request: Request) -> Answer {
        self.write(&request.to_bytes()).await;
        self.read(request.verb == "HEAD").await
    }

    /// Sends a request without waiting.
    pub(crate) async fn begin(&mut self, request: &Request) {
        self.write(&request.to_bytes()).await;
    }

    /// Sends bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes))
            .await
            .expect("the node reads");
    }

    /// Waits for the answer to a request that was not `HEAD`.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.read(false).await
    }

    /// Waits for the next chunk of a body without length; `None` at its end, or where the connection ends.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        let read = within(self.stream.read_line(&mut size)).await;
        let size = match read {
            Ok(0) | Err(_) => return None,
            Ok(_) => usize::from_str_radix(size.trim_end(), 16).expect("the size of a chunk"),
        };
        let mut chunk = vec![0; size + 2];
        within(self.stream.read_exact(&mut chunk)).await.ok()?;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// Waits until something has come, and returns it as it stands on the wire.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        let some = within(self.stream.fill_buf()).await.expect("more of it");
        assert!(!some.is_empty(), "the other side has ended");
        let some = some.to_vec();
        self.stream.consume(some.len());
        some
    }

    /// Waits until the other side ends the connection, however it does, and returns what it sent before.
    pub(crate) async fn ended(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = within(self.stream.read_to_end(&mut rest)).await;
        rest
    }

    /// Tells whether something has arrived, without waiting.
    pub(crate) fn has_answer(&self) -> bool {
        let mut byte = [0];
        let stream = self.stream.get_ref();
        !self.stream.buffer().is_empty() || stream.try_read(&mut byte).is_ok()
    }

    async fn read(&mut self, is_head: bool) -> Answer {
        let status_line = self.line().await;
        let status = status_line.split(' ').nth(1).and_then(|n| n.parse().ok());
        let mut answer = Answer {
            status: status.unwrap_or_else(|| panic!("no status in '{status_line}'")),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let header = (name.to_lowercase(), value.trim().to_owned());
            answer.headers.push(header);
        }
        if !is_head {
            let length = answer
                .header("content-length")
                .map_or(0, |n| n.parse().unwrap());
            answer.body = vec![0; length];
            within(self.stream.read_exact(&mut answer.body))
                .await
                .expect("a whole body");
        }
        answer
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        within(self.stream.read_line(&mut line))
            .await
            .expect("a line of text");
        line.trim_end().to_owned()
    }
}

impl Answer {
    /// Returns a header; one that stands several times is joined by `, `.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    pub(crate) fn json(&self) -> Value {
        let content_type = self.header("content-type");
        assert_eq!(
            content_type.as_deref(),
            Some("application/json; charset=utf-8")
        );
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Returns status and body for comparison.
    pub(crate) fn pair(&self) -> (u16, Value) {
        (self.status, self.json())
    }
}
