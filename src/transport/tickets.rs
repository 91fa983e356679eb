//! Tickets for clients that can send no header: `EventSource` and the `WebSocket` of browsers.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use parking_lot::Mutex;
use ring::hmac;
use serde_json::Value;

use crate::error::{Error, ErrorName, Result};
use crate::json;

/// Issues and redeems short-lived tickets, each for one connection.
///
/// A client that is known, as by the `Authorization` header of a call, is given a ticket and puts it into the query of its
/// next handshake, where [`Handshake::ticket`](crate::transport::Handshake::ticket) redeems it.
///
/// A ticket holds its own claims, a random number of 128 bits and the time of its end, signed with HMAC-SHA256. Whoever has
/// it can read the claims, and nobody can change them. With a
/// [secret](crate::AppBuilder::ticket_secret) that the nodes share, every one of them takes it, and each takes it once: who
/// steals a ticket could use it at a node that has not seen it, until it ends. Without one only the node that issued it does.
/// The clocks of the nodes should agree to much less than [`Config::ticket_lifetime`](crate::Config::ticket_lifetime).
///
/// ```
/// use serde_json::json;
/// use wingbeat::App;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .on_handshake(|handshake| {
///         Box::pin(async move {
///             let user = handshake.ticket()?;
///             handshake.set_property("user", user);
///             Ok(())
///         })
///     })
///     .build()?;
/// let ticket = app.tickets().issue(&json!({ "id": 7 }))?;
/// assert_eq!(app.tickets().redeem(&ticket)?["id"], 7);
/// assert_eq!(app.tickets().redeem(&ticket).unwrap_err().code(), 401);
/// # Ok(())
/// # }
/// ```
pub struct Tickets {
    key: hmac::Key,
    lifetime: Duration,
    /// End and number of each that was redeemed, until its end.
    redeemed: Mutex<BTreeSet<(u64, Number)>>,
}

type Number = [u8; NUMBER];

impl Tickets {
    /// Makes tickets that end after a while; without a secret nobody else can redeem them.
    pub(crate) fn new(secret: Option<&str>, lifetime: Duration) -> Self {
        let own: [u8; 32] = rand::random();
        let secret = secret.map_or(own.as_slice(), str::as_bytes);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            lifetime,
            redeemed: Mutex::default(),
        }
    }

    /// Issues a ticket with claims, as who the client is. Its length is about 4/3 of theirs and 75 characters.
    ///
    /// # Errors
    /// `BadRequest` when the claims have more than 1,024 bytes as JSON: a ticket is part of a URL.
    pub fn issue(&self, claims: &Value) -> Result<String> {
        let end = milliseconds(SystemTime::now()).saturating_add(whole(self.lifetime));
        let number: Number = rand::random();
        let mut ticket = [end.to_be_bytes().as_slice(), &number].concat();
        json::write(&mut ticket, claims);
        if ticket.len() > HEAD + MAX_CLAIMS {
            return Err(Error::bad_request(
                "the claims of a ticket have more than 1,024 bytes",
            ));
        }
        let tag = self.sign(&ticket);
        ticket.extend_from_slice(tag.as_ref());
        Ok(BASE64URL_NOPAD.encode(&ticket))
    }

    /// Redeems a ticket, once, and returns its claims.
    ///
    /// # Errors
    /// `NotAuthenticated` for one that is over, redeemed, or not issued with our secret; `Unavailable` while 65,536 that were
    /// redeemed have not ended.
    pub fn redeem(&self, ticket: &str) -> Result<Value> {
        self.redeem_at(ticket, milliseconds(SystemTime::now()))
    }

    fn redeem_at(&self, ticket: &str, now: u64) -> Result<Value> {
        let (end, number, claims) = self.open(ticket).ok_or_else(refused)?;
        if end <= now {
            return Err(refused());
        }
        let mut redeemed = self.redeemed.lock();
        while redeemed.first().is_some_and(|(end, _)| *end <= now) {
            redeemed.pop_first();
        }
        if redeemed.len() >= MAX_REDEEMED {
            return Err(Error::new(
                ErrorName::Unavailable,
                "too many tickets were redeemed of late",
            ));
        }
        match redeemed.insert((end, number)) {
            true => Ok(claims),
            false => Err(refused()),
        }
    }

    /// Checks the signature, before anything else is looked at.
    fn open(&self, ticket: &str) -> Option<(u64, Number, Value)> {
        if ticket.len() > MAX_TEXT {
            return None;
        }
        let ticket = BASE64URL_NOPAD.decode(ticket.as_bytes()).ok()?;
        let (ticket, tag) = ticket.split_last_chunk::<TAG>()?;
        hmac::verify(&self.key, &with_purpose(ticket), tag).ok()?;
        let (end, rest) = ticket.split_first_chunk()?;
        let (number, claims) = rest.split_first_chunk()?;
        let claims = json::parse(std::str::from_utf8(claims).ok()?)?;
        Some((u64::from_be_bytes(*end), *number, claims))
    }

    fn sign(&self, ticket: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, &with_purpose(ticket))
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// What is signed. The secret may be used elsewhere: nothing else that is signed with it begins so.
fn with_purpose(ticket: &[u8]) -> Vec<u8> {
    [b"wingbeat ticket 1\n", ticket].concat()
}

/// Does not say why: that is nobody's business but ours.
fn refused() -> Error {
    Error::new(ErrorName::NotAuthenticated, "the ticket is not valid")
}

fn milliseconds(time: SystemTime) -> u64 {
    whole(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn whole(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const NUMBER: usize = 16;
const HEAD: usize = 8 + NUMBER;
const TAG: usize = 32;
const MAX_CLAIMS: usize = 1_024;
const MAX_TEXT: usize = (HEAD + MAX_CLAIMS + TAG) * 4 / 3 + 1;
const MAX_REDEEMED: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(30);

    fn tickets(secret: Option<&str>) -> Tickets {
        Tickets::new(secret, LIFETIME)
    }

    fn code(outcome: Result<Value>) -> u16 {
        outcome.map_or_else(|error| error.code(), |_| 200)
    }

    #[test]
    fn a_ticket_is_good_once_and_until_its_end() {
        let tickets = tickets(None);
        let now = milliseconds(SystemTime::now());
        let [one, other] = [1, 2].map(|n| tickets.issue(&json!(n)).unwrap());
        assert_eq!(tickets.redeem_at(&one, now).unwrap(), 1);
        assert_eq!(code(tickets.redeem_at(&one, now)), 401);
        assert_eq!(code(tickets.redeem_at(&other, now + 60_000)), 401);
        assert_eq!(tickets.redeem_at(&other, now + 20_000).unwrap(), 2);
        assert_eq!(tickets.redeemed.lock().len(), 2);
        let late = tickets.issue(&Value::Null).unwrap();
        tickets.redeemed.lock().clear();
        tickets.redeem_at(&late, now).unwrap();
        assert_eq!(tickets.redeemed.lock().len(), 1);
    }

    #[test]
    fn those_who_share_the_secret_take_each_others_tickets() {
        let nodes = ["secret", "secret", "other"].map(|secret| tickets(Some(secret)));
        let ticket = nodes[0].issue(&json!({ "user": "ada" })).unwrap();
        let codes = nodes.each_ref().map(|node| code(node.redeem(&ticket)));
        assert_eq!(codes, [200, 200, 401]);
        assert_eq!(code(tickets(None).redeem(&ticket)), 401);
    }

    #[test]
    fn what_is_redeemed_is_forgotten_at_its_end_and_bounded_before() {
        let tickets = tickets(None);
        let now = milliseconds(SystemTime::now());
        let ticket = tickets.issue(&Value::Null).unwrap();
        let used = |n: usize| (now + 10, (n as u128).to_be_bytes());
        tickets.redeemed.lock().extend((0..MAX_REDEEMED).map(used));
        assert_eq!(code(tickets.redeem_at(&ticket, now)), 503);
        assert_eq!(code(tickets.redeem_at(&ticket, now + 10)), 200);
        assert_eq!(tickets.redeemed.lock().len(), 1);
    }

    #[test]
    fn claims_have_a_bound() {
        let tickets = tickets(None);
        let claims = |n: usize| Value::from("x".repeat(n - 2));
        let ticket = tickets.issue(&claims(MAX_CLAIMS)).unwrap();
        assert_eq!(tickets.redeem(&ticket).unwrap(), claims(MAX_CLAIMS));
        assert_eq!(
            code(tickets.issue(&claims(MAX_CLAIMS + 1)).map(Value::from)),
            400
        );
    }

    proptest! {
        #[test]
        fn nobody_can_change_a_ticket(at in 0_usize..90, bit in 0_u8..8, text in "[A-Za-z0-9_-]{0,120}") {
            let tickets = tickets(Some("secret"));
            let ticket = tickets.issue(&json!({ "user": "ada" })).unwrap();
            let mut bytes = BASE64URL_NOPAD.decode(ticket.as_bytes()).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(code(tickets.redeem(&BASE64URL_NOPAD.encode(&bytes))), 401);
            prop_assert_eq!(code(tickets.redeem(&text)), 401);
        }
    }
}
