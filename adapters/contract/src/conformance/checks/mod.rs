//! The checks, in files that follow the life of a link: what arrives, how it is lost, how it is left, what is refused.

mod arrival;
mod bytes;
mod joining;
mod leaving;
mod limits;
mod loss;
mod refusal;
mod topics;

pub(super) use arrival::*;
pub(super) use bytes::*;
pub(super) use joining::*;
pub(super) use leaving::*;
pub(super) use limits::*;
pub(super) use loss::*;
pub(super) use refusal::*;
pub(super) use topics::*;
