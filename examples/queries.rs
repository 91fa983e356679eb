//! Parses query strings, one a line, and prints each as the JSON object that a service gets.
//!
//! ```text
//! echo 'a[$gt]=1&b[]=x&b[]=y' | cargo run --example queries
//! ```

use std::error::Error;
use std::io::{BufWriter, Write, stdin, stdout};

use wingbeat::transport::query::parse;

fn main() -> Result<(), Box<dyn Error>> {
    let mut output = BufWriter::new(stdout().lock());
    for line in stdin().lines() {
        serde_json::to_writer(&mut output, &parse(&line?))?;
        output.write_all(b"\n")?;
    }
    Ok(output.flush()?)
}
