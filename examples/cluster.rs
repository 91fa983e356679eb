//! Three nodes, a broker that goes away and comes back, and a node that shuts down: nobody misses a message.
//!
//! ```text
//! cargo run --example cluster --features testing
//! SYNC_URI=redis://127.0.0.1:6379 cargo run --example cluster --features testing
//! ```
//!
//! `wingbeat::testing` starts the nodes in this process and is their clients. A real broker stays up, unless you stop it.

// A program says what it does.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wingbeat::testing::{Client, Cluster, ClusterOptions};
use wingbeat::{AppBuilder, Memory};

/// One client, with the messages that it knows by their id.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) known: BTreeMap<u64, String>,
    client: Client,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for Person { name, known, .. } in run(env::var("SYNC_URI").ok()).await? {
        println!("{name} knows {} messages:", known.len());
        known.values().for_each(|message| println!("  {message}"));
    }
    Ok(())
}

/// Returns what each of the three knows in the end.
pub(crate) async fn run(sync_uri: Option<String>) -> Result<[Person; 3], Box<dyn Error>> {
    let mut options = ClusterOptions::default();
    options.sync_uri = sync_uri;
    options.deadline = Duration::from_secs(30);
    // What a database is to a real app.
    let store = Arc::new(Memory::new());
    let cluster = Cluster::start_with(3, options, |builder, _| chat(builder, &store)).await?;
    let mut people = [
        Person::new("Ada", cluster.client(0).await?),
        Person::new("Bob", cluster.client(1).await?),
        Person::new("Eve", cluster.client(2).await?),
    ];
    println!("Three nodes are up, and everybody says hello.");
    all_write(&mut people, "hello").await?;

    if let Some(broker) = cluster.broker() {
        println!("The broker is gone. Calls are answered all the same.");
        broker.cut();
        let message = json!({ "text": "Ada: is it quiet here?" });
        people[0].client.create("messages", message).await?;
        println!("It is back, and so is what was written meanwhile.");
        broker.heal();
        all_hear(&mut people).await?;
    }

    println!("Eve's node shuts down; she goes to another one and reads what she missed.");
    cluster.node(2).close().await;
    let message = json!({ "text": "Bob: where is Eve?" });
    people[1].client.create("messages", message).await?;
    people[2].client = cluster.client(0).await?;
    people[2].read_anew().await?;
    all_write(&mut people, "goodbye").await?;
    cluster.close().await?;
    Ok(people)
}

/// What all nodes consist of.
fn chat(builder: AppBuilder, store: &Arc<Memory>) -> AppBuilder {
    builder
        .service("messages", Arc::clone(store))
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .publish(|_event, channels| channels.channel("everybody"))
}

/// Lets everybody write a message, and hear of all of them.
async fn all_write(people: &mut [Person], text: &str) -> Result<(), Box<dyn Error>> {
    for Person { name, client, .. } in people.iter() {
        let text = format!("{name}: {text}");
        client.create("messages", json!({ "text": text })).await?;
    }
    all_hear(people).await
}

/// Waits until everybody knows what is in the store.
async fn all_hear(people: &mut [Person]) -> Result<(), Box<dyn Error>> {
    let messages = people[0].client.find("messages").await?;
    let n_messages = messages.as_array().map_or(0, Vec::len);
    for person in people {
        while person.known.len() < n_messages {
            let message = person.client.event("messages", "created").await?;
            person.learn(&message);
        }
    }
    Ok(())
}

impl Person {
    fn new(name: &'static str, client: Client) -> Self {
        Self {
            name,
            known: BTreeMap::new(),
            client,
        }
    }

    async fn read_anew(&mut self) -> Result<(), Box<dyn Error>> {
        let messages = self.client.find("messages").await?;
        messages
            .as_array()
            .into_iter()
            .flatten()
            .for_each(|message| self.learn(message));
        Ok(())
    }

    fn learn(&mut self, message: &Value) {
        let (id, text) = (message["id"].as_u64(), message["text"].as_str());
        self.known
            .insert(id.unwrap_or_default(), text.unwrap_or_default().to_owned());
    }
}
