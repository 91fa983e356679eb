//! Where a call stands in a distributed trace, and the spans that say so on every node.
//!
//! Spans have the target `wingbeat::trace` and the level `DEBUG`, so that a log at `INFO` does not pay for them:
//!
//! | span | is open while | fields |
//! |---|---|---|
//! | `call` | a call with its hooks runs | `path`, `method`, `trace_id`, `span_id`, `parent_id`, `trace_flags` |
//! | `sync_in` | an envelope of another node becomes an event | `path`, `event`, `trace_id`, `parent_id`, `trace_flags` |
//! | `fan_out` | listeners hear an event and its frames go into the outboxes of clients | `path`, `event`, `clients`, `trace_id`, `parent_id`, `trace_flags` |
//!
//! A call begins with the `traceparent` of its request, or of its socket's handshake; its events carry the place of the call
//! to all nodes, where `sync_in` and `fan_out` have the `trace_id` of the call and its `span_id` as `parent_id`. While
//! nobody wants the spans, no id is made: what came with a request is handed on as it is, and else there is none.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

use http::{HeaderMap, HeaderName};
use tracing::field::{Empty, display};
use tracing::{Level, Span, debug_span, span_enabled};

use crate::event::Event;
use crate::hooks::HookContext;

/// A place in a trace, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) writes it into `traceparent`.
///
/// ```
/// use wingbeat::trace::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let place: TraceContext = text.parse()?;
/// assert_eq!(place.span_id(), 0x00f0_67aa_0ba9_02b7);
/// assert_eq!(place.to_string(), text);
/// # Ok::<(), wingbeat::trace::InvalidTraceparent>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: NonZeroU128,
    span_id: NonZeroU64,
    flags: u8,
}

/// Says that a text is no `traceparent`.
///
/// ```
/// use wingbeat::trace::TraceContext;
///
/// // An id of zeros stands for none.
/// let text = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
/// let problem = text.parse::<TraceContext>().unwrap_err();
/// assert_eq!(problem.to_string(), "not a traceparent");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidTraceparent;

/// From the parts that a tracing library has, and back to them.
///
/// ```
/// use wingbeat::trace::TraceContext;
///
/// let place: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// let again = TraceContext::new(place.trace_id(), place.span_id(), place.flags());
/// assert_eq!(again, Some(place));
/// # Ok::<(), wingbeat::trace::InvalidTraceparent>(())
/// ```
impl TraceContext {
    /// The text has so many characters.
    pub(crate) const LENGTH: usize = 55;

    /// Makes a place from what a tracing library has; `None` when an id is zero, which stands for none.
    ///
    /// ```
    /// use wingbeat::{Call, Method, trace::TraceContext};
    ///
    /// // A call out of a job that has a span already: its events carry the trace to all nodes.
    /// let mut call = Call::new("messages", Method::Create);
    /// call.params.trace = TraceContext::new(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7, 1);
    /// let text = call.params.trace.map(|place| place.to_string());
    /// assert_eq!(text.as_deref(), Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    /// assert_eq!(TraceContext::new(0, 0x00f0_67aa_0ba9_02b7, 1), None);
    /// ```
    #[must_use]
    pub fn new(trace_id: u128, span_id: u64, flags: u8) -> Option<Self> {
        Some(Self {
            trace_id: NonZeroU128::new(trace_id)?,
            span_id: NonZeroU64::new(span_id)?,
            flags,
        })
    }

    /// Returns the id of the whole trace.
    ///
    /// ```
    /// use wingbeat::trace::TraceContext;
    ///
    /// let place: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
    /// // As logs and collectors write it.
    /// assert_eq!(format!("{:032x}", place.trace_id()), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// # Ok::<(), wingbeat::trace::InvalidTraceparent>(())
    /// ```
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id.get()
    }

    /// Returns the id of one span of it.
    ///
    /// ```
    /// use wingbeat::trace::TraceContext;
    ///
    /// let place: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
    /// assert_eq!(format!("{:016x}", place.span_id()), "00f067aa0ba902b7");
    /// # Ok::<(), wingbeat::trace::InvalidTraceparent>(())
    /// ```
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span_id.get()
    }

    /// Returns the flags; the lowest bit says that the span is recorded.
    ///
    /// ```
    /// use wingbeat::trace::TraceContext;
    ///
    /// let place: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
    /// let is_recorded = place.flags() & 1 == 1;
    /// assert!(is_recorded);
    /// # Ok::<(), wingbeat::trace::InvalidTraceparent>(())
    /// ```
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Reads the header `traceparent`; one that is malformed, or stands twice, is ignored.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&HEADER).iter();
        let (value, second) = (values.next()?, values.next());
        value
            .to_str()
            .ok()
            .filter(|_| second.is_none())?
            .parse()
            .ok()
    }

    /// Starts a trace.
    fn fresh() -> Self {
        Self {
            trace_id: rand::random(),
            span_id: rand::random(),
            flags: RECORDED,
        }
    }

    /// Goes one span down.
    fn child(self) -> Self {
        Self {
            span_id: rand::random(),
            ..self
        }
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        parse(text).ok_or(InvalidTraceparent)
    }
}

/// A version that is not known yet may have more parts; its first four are those of version 0.
fn parse(text: &str) -> Option<TraceContext> {
    let mut parts = text.split('-');
    let mut next = |length| parts.next().filter(|part| is_hex(part, length));
    let (version, trace_id, span_id, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    let is_known = match version {
        "ff" => false,
        "00" => text.len() == TraceContext::LENGTH,
        _ => true,
    };
    TraceContext::new(
        u128::from_str_radix(trace_id, 16)
            .ok()
            .filter(|_| is_known)?,
        u64::from_str_radix(span_id, 16).ok()?,
        u8::from_str_radix(flags, 16).ok()?,
    )
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
        } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

impl fmt::Display for InvalidTraceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a traceparent")
    }
}

impl std::error::Error for InvalidTraceparent {}

/// Begins the span of a call; if somebody wants it, the call stands there from now on.
pub(crate) fn call(context: &mut HookContext) -> Span {
    if !span_enabled!(target: TARGET, Level::DEBUG) {
        return Span::none();
    }
    let place = context.params.trace;
    let own = place.map_or_else(TraceContext::fresh, TraceContext::child);
    context.params.trace = Some(own);
    debug_span!(
        target: TARGET,
        "call",
        path = context.path(),
        method = context.method().as_str(),
        trace_id = trace_id(Some(own)),
        span_id = span_id(Some(own)),
        parent_id = span_id(place),
        trace_flags = own.flags,
    )
}

/// Begins the span in which an envelope becomes an event.
pub(crate) fn sync_in(path: &str, event: &str, place: Option<TraceContext>) -> Span {
    debug_span!(
        target: TARGET,
        "sync_in",
        path,
        event,
        trace_id = trace_id(place),
        parent_id = span_id(place),
        trace_flags = place.map(|place| place.flags),
    )
}

/// Begins the span in which an event goes to those who hear it on this node.
pub(crate) fn fan_out(event: &Event) -> Span {
    let place = event.trace();
    debug_span!(
        target: TARGET,
        "fan_out",
        path = event.path(),
        event = event.name(),
        clients = Empty,
        trace_id = trace_id(place),
        parent_id = span_id(place),
        trace_flags = place.map(|place| place.flags),
    )
}

fn trace_id(place: Option<TraceContext>) -> Option<impl tracing::Value> {
    place.map(|place| display(Hex(place.trace_id(), 32)))
}

fn span_id(place: Option<TraceContext>) -> Option<impl tracing::Value> {
    place.map(|place| display(Hex(place.span_id().into(), 16)))
}

/// An id with its leading zeros.
struct Hex(u128, usize);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(id, length) = self;
        write!(f, "{id:0length$x}")
    }
}

static HEADER: HeaderName = HeaderName::from_static("traceparent");
const TARGET: &str = "wingbeat::trace";
const RECORDED: u8 = 1;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_the_standard_allows_is_read() {
        let place: TraceContext = TEXT.parse().unwrap();
        assert_eq!(place.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((place.span_id(), place.flags()), (0x00f0_67aa_0ba9_02b7, 1));
        let later = TEXT.replacen("00-", "cc-", 1);
        assert_eq!(later.parse(), Ok(place));
        assert_eq!(format!("{later}-what-comes").parse(), Ok(place));
    }

    #[test]
    fn everything_else_is_ignored() {
        for text in [
            "".to_owned(),
            "00".to_owned(),
            TEXT.to_uppercase(),
            TEXT.replacen("00-", "ff-", 1),
            TEXT.replacen("00-", "0-", 1),
            TEXT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            TEXT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            TEXT.replace("4bf9", "+bf9"),
            TEXT.replace("-01", "-1"),
            TEXT.replace('-', "_"),
            format!("{TEXT}-"),
            format!("{TEXT}-00"),
            format!(" {TEXT}"),
            format!("cc{}x", &TEXT[2..]),
        ] {
            assert_eq!(
                text.parse::<TraceContext>(),
                Err(InvalidTraceparent),
                "{text}"
            );
        }
    }

    #[test]
    fn a_header_counts_when_it_stands_once() {
        let mut headers = HeaderMap::new();
        assert_eq!(TraceContext::of(&headers), None);
        headers.append(&HEADER, HeaderValue::from_static(TEXT));
        assert_eq!(TraceContext::of(&headers), TEXT.parse().ok());
        headers.append(&HEADER, HeaderValue::from_static(TEXT));
        assert_eq!(TraceContext::of(&headers), None);
    }

    proptest! {
        #[test]
        fn text_and_place_agree(trace_id in 1_u128.., span_id in 1_u64.., flags: u8) {
            let place = TraceContext::new(trace_id, span_id, flags).unwrap();
            let text = place.to_string();
            prop_assert_eq!(text.len(), TraceContext::LENGTH);
            prop_assert_eq!(text.parse(), Ok(place));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = text.parse::<TraceContext>();
        }
    }
}
