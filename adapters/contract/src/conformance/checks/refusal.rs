//! Clauses 12 and 13: what went wrong has its right name, and nobody reads a password in it.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

use crate::conformance::Fault;
use crate::conformance::peer::{End, Peer};
use crate::conformance::trial::{TICK, Trial, Verdict, fail, numbered, require};
use crate::{ErrorKind, Lane, LinkOptions, SyncAdapter, SyncError};

pub(in crate::conformance) async fn clause_12_nobody_at_home_is_unavailable(
    trial: &Trial,
) -> Verdict {
    let error = unreachable(trial).await?;
    is_kind(&error, ErrorKind::Unavailable)
}

pub(in crate::conformance) async fn clause_12_a_silent_broker_is_unavailable_in_time(
    trial: &Trial,
) -> Verdict {
    let (proxy, adapter) = trial.through_a_proxy()?;
    proxy.stall();
    let mut options = trial.options.clone();
    options.connect_timeout = Duration::from_millis(500);
    let start = Instant::now();
    let error = refusal(trial, &adapter, &options).await?;
    let took = start.elapsed();
    require(
        took < options.connect_timeout + Duration::from_secs(2),
        || format!("`connect` was to take 500 ms at most and takes {took:?}"),
    )?;
    is_kind(&error, ErrorKind::Unavailable)
}

pub(in crate::conformance) async fn clause_12_a_wrong_password_is_refused(
    trial: &Trial,
) -> Verdict {
    trial.password()?;
    let error = refusal(trial, &intruder(trial)?, &trial.options).await?;
    is_kind(&error, ErrorKind::Refused)
}

pub(in crate::conformance) async fn clause_12_options_without_sense_are_config_errors(
    trial: &Trial,
) -> Verdict {
    let adapter = trial.adapter()?;
    let mut same = trial.options.clone();
    same.control_topic.clone_from(&same.topic);
    let mut no_control = trial.options.clone();
    no_control.control_topic.clear();
    for options in [LinkOptions::new(""), same, no_control] {
        let error = refusal(trial, &adapter, &options).await?;
        is_kind(&error, ErrorKind::Config)?;
    }
    Ok(())
}

pub(in crate::conformance) async fn clause_12_a_lost_link_is_unavailable(trial: &Trial) -> Verdict {
    let (mut peer, _proxy) = trial.lost().await?;
    let error = publish_until_it_fails(trial, &mut peer).await?;
    is_kind(&error, ErrorKind::Unavailable)?;
    peer.ear.linger(TICK).await;
    match &peer.ear.heard.end {
        Some(End::Error(error)) => is_kind(error, ErrorKind::Unavailable),
        Some(End::Quiet) | None => Ok(()),
    }
}

pub(in crate::conformance) async fn clause_13_debug_shows_no_password(trial: &Trial) -> Verdict {
    trial.password()?;
    for adapter in [trial.adapter()?, intruder(trial)?] {
        shows_nothing(trial, "the adapter", &format!("{adapter:?} {adapter:#?}"))?;
    }
    let mut peer = trial.open(&trial.adapter()?).await?;
    let outbound = &peer.outbound;
    shows_nothing(trial, "the link", &format!("{outbound:?} {outbound:#?}"))?;
    peer.close().await?.ok();
    let outbound = &peer.outbound;
    shows_nothing(
        trial,
        "the closed link",
        &format!("{outbound:?} {outbound:#?}"),
    )
}

pub(in crate::conformance) async fn clause_13_errors_show_no_password(trial: &Trial) -> Verdict {
    for error in provoked(trial).await? {
        let mut text = format!("{error} {error:?} {error:#?}");
        let mut cause = error.source();
        while let Some(source) = cause {
            text += &format!(" {source}");
            cause = source.source();
        }
        shows_nothing(trial, "an error", &text)?;
    }
    Ok(())
}

/// Reads what goes through `tracing`, at every level.
pub(in crate::conformance) async fn clause_13_log_lines_show_no_password(trial: &Trial) -> Verdict {
    provoked(trial).await?;
    let lines = trial.leaks.lines();
    require(lines.is_empty(), || format!("log lines show it: {lines:?}"))
}

/// All errors that an adapter is asked for elsewhere, from a broker that has a password.
async fn provoked(trial: &Trial) -> Verdict<Vec<SyncError>> {
    trial.password()?;
    let refused = refusal(trial, &intruder(trial)?, &trial.options).await?;
    let config = refusal(trial, &trial.adapter()?, &LinkOptions::new("")).await?;
    let (mut peer, proxy) = trial.lost().await?;
    let lost = publish_until_it_fails(trial, &mut peer).await?;
    drop(proxy);
    Ok(vec![refused, config, lost, unreachable(trial).await?])
}

fn intruder(trial: &Trial) -> Verdict<Arc<dyn SyncAdapter>> {
    let port = trial.facts.port.unwrap_or_default();
    trial.adapter_with(port, trial.wrong_password.clone())
}

/// What `connect` says when there is no broker. A socket that is bound and does not listen keeps the port empty.
async fn unreachable(trial: &Trial) -> Verdict<SyncError> {
    if trial.facts.port.is_none() {
        trial.inflict(Fault::Kill).await?;
        return refusal(trial, &trial.adapter()?, &trial.options).await;
    }
    let socket = TcpSocket::new_v4().and_then(|socket| {
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(socket)
    });
    let port = socket.as_ref().map(TcpSocket::local_addr);
    let Ok(Ok(address)) = port else {
        return fail("the system gives out no port");
    };
    let adapter = trial.adapter_at(address.port())?;
    refusal(trial, &adapter, &trial.options).await
}

async fn refusal(
    trial: &Trial,
    adapter: &Arc<dyn SyncAdapter>,
    options: &LinkOptions,
) -> Verdict<SyncError> {
    match trial.try_open(adapter, options).await? {
        Err(error) => Ok(error),
        Ok(_) => fail("`connect` resolves where it should fail"),
    }
}

async fn publish_until_it_fails(trial: &Trial, peer: &mut Peer) -> Verdict<SyncError> {
    let deadline = Instant::now() + trial.facts.patience;
    loop {
        match peer.try_publish(Lane::Events, &numbered("x", 1)).await? {
            Err(error) => return Ok(error),
            Ok(_) if Instant::now() > deadline => {
                return fail("publishes on a lost link do not fail");
            }
            Ok(_) => sleep(TICK).await,
        }
    }
}

fn is_kind(error: &SyncError, due: ErrorKind) -> Verdict {
    require(error.kind() == due, || {
        format!("this should be {due:?}: {error:?}")
    })
}

/// Does not repeat the text: it would show the password.
fn shows_nothing(trial: &Trial, what: &str, text: &str) -> Verdict {
    require(!trial.leaks.are_in(text), || {
        format!("{what} shows a password")
    })
}
