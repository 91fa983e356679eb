use redis::RedisResult;
use wingbeat_adapter::SyncError;

use crate::config::{Address, wrong};
use crate::dialer::Dialer;
use crate::error;

/// Asks one sentinel for the primary of a service. Whether that is one is for the link to find out: a sentinel may
/// not have heard of the last failover.
pub(super) async fn ask(
    dialer: &Dialer,
    at: &Address,
    service: &str,
) -> Result<Vec<Address>, SyncError> {
    match primary(dialer, at, service).await {
        Ok(Some((host, port))) => Ok(vec![Address::new(host, port)]),
        Ok(None) => Err(wrong(format!(
            "the sentinel at {at} watches no service `{service}`"
        ))),
        Err(error) => Err(error::ask_failed(error, at, "sentinel")),
    }
}

async fn primary(
    dialer: &Dialer,
    at: &Address,
    service: &str,
) -> RedisResult<Option<(String, u16)>> {
    let mut connection = dialer.ask_sentinel(at).await?;
    redis::cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(service)
        .query_async(&mut connection)
        .await
}
