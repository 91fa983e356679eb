//! A client that asks for something small again and again, and notes how long each answer takes.
//!
//! The process reads commands from its input, `probe MILLISECONDS`, and answers with `probed ANSWERS P50 P99 MOST`, times in
//! nanoseconds. It does nothing else and waits for nothing but its answers, so the times are those of the server and of the machine.
//! It hears the events as every client does, and its answers stand behind them.

use std::io::{BufRead, Read, Write, stdin};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use super::quantile;
use super::wire::{Protocol, Target};
use crate::Outcome;
use crate::frame::{Frame, PATH, masked};
use crate::process::say;

/// Connects to a node and does what the parent process says.
pub(crate) fn main(args: &[&str]) -> Outcome<()> {
    let [port] = args else {
        return Err("a prober needs a port".into());
    };
    let mut prober = Prober::open(port.parse()?)?;
    say("open")?;
    for line in stdin().lock().lines() {
        let line = line?;
        let Some(millis) = line.strip_prefix("probe ") else {
            break;
        };
        let took = prober.probe(Duration::from_millis(millis.parse()?))?;
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|of| quantile(&took, of));
        say(&format!("probed {} {p50} {p99} {most}", took.len()))?;
    }
    Ok(())
}

struct Prober {
    stream: TcpStream,
    /// What came behind the last answer.
    received: Vec<u8>,
    asked: u64,
}

impl Prober {
    fn open(port: u16) -> Outcome<Self> {
        let target = Target {
            port,
            ..Target::default()
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stream, received) = runtime.block_on(async {
            let (stream, received) = Protocol::SocketIo.open(target).await?;
            Outcome::Ok((stream.into_std()?, received))
        })?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            received,
            asked: 0,
        })
    }

    /// Asks for a while; returns the nanoseconds that the answers took, the fewest first.
    fn probe(&mut self, time: Duration) -> Outcome<Vec<u64>> {
        let began = Instant::now();
        let mut took = Vec::new();
        while took.is_empty() || began.elapsed() < time {
            took.push(self.ask()?.as_nanos() as u64);
            sleep(PAUSE);
        }
        took.sort_unstable();
        Ok(took)
    }

    fn ask(&mut self) -> Outcome<Duration> {
        let id = self.asked;
        self.asked += 1;
        let call = masked(&format!(r#"42{id}["get","{PATH}","{id}",{{}}]"#));
        let answer = format!(r#"43{id}[null,{{"id":"{id}"}}]"#);
        let began = Instant::now();
        self.stream.write_all(&call)?;
        while !self.take(answer.as_bytes())? {
            self.read()?;
        }
        Ok(began.elapsed())
    }

    /// Takes the frames that have come up to an answer; tells whether that was among them.
    fn take(&mut self, answer: &[u8]) -> Outcome<bool> {
        while let Some((frame, rest)) = Frame::split(&self.received) {
            let is_answer = frame.payload == answer;
            match frame.payload {
                b"2" => self.stream.write_all(&masked("3"))?,
                payload if is_answer || payload.starts_with(b"42[") => {}
                _ => return Err(format!("instead of an answer came {}", frame.describe()).into()),
            }
            self.received = rest.to_vec();
            if is_answer {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(&mut self) -> Outcome<()> {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer)? {
            0 => Err("the server closed the connection that asks".into()),
            n => {
                self.received.extend(&buffer[..n]);
                Ok(())
            }
        }
    }
}

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(1);
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};

    use super::*;
    use crate::frame::{frame, unmasked};

    /// Asks a server that answers whatever it is asked with some bytes.
    fn ask(answer: Vec<u8>) -> Outcome<Duration> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(&answer).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        let (received, asked) = (Vec::new(), 7);
        let mut prober = Prober {
            stream,
            received,
            asked,
        };
        prober.ask()
    }

    #[test]
    fn an_answer_may_stand_behind_events() {
        let answer = unmasked(r#"437[null,{"id":"7"}]"#);
        ask([frame(0), unmasked("2"), frame(1), answer].concat()).unwrap();
    }

    #[test]
    fn another_answer_is_noticed() {
        let error = ask(unmasked(r#"437[null,{"id":"8"}]"#)).unwrap_err();
        assert!(error.to_string().contains("instead of an answer"));
        let error = ask(frame(0)).unwrap_err();
        assert!(error.to_string().contains("closed"));
    }
}
