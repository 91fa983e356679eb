//! The proxy of the conformance suite breaks connections on command.

pub(crate) use wingbeat_adapter::conformance::Proxy;
