//! What the pages of the guide say in tables.

use wingbeat::{App, Memory};

/// The whole URIs that stand between backticks.
fn uris(page: &str) -> Vec<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted
        .filter(|text| text.contains("://") && !text.contains(['…', ' ', '\n']))
        .collect()
}

#[tokio::test]
async fn every_uri_of_the_page_about_brokers_is_taken() {
    let page = include_str!("../../docs/guide/adapters.md");
    let uris = uris(page);
    assert!(uris.len() > 10, "{uris:?}");
    for uri in uris {
        // The one file that is read at once.
        let uri = uri.replace("/etc/redis-ca.pem", "/etc/ssl/certs/ca-certificates.crt");
        let app = App::builder().service("messages", Memory::new());
        let built = app.sync_uri(&uri).build();
        assert!(built.is_ok(), "{uri}: {:?}", built.err());
    }
}
