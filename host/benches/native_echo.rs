//! The native echo: consumes a topic, and produces each value back to the topic that the record's `reply-to` names.
//!
//!     cargo bench --bench native_echo -- BOOTSTRAP GROUP TOPIC
//!
//! What the way from Kafka and back costs with nothing in between, with the host's promise, at-least-once. `tests/bench`
//! starts it, and stops it.

mod support {
    pub(crate) mod commits;
    pub(crate) mod kafka;
}

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use rdkafka::message::Message;
use support::commits::Commits;
use support::kafka::{self, Request};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Ok([bootstrap, group, topic]) = <[String; 3]>::try_from(arguments) else {
        eprintln!("native_echo: wants BOOTSTRAP GROUP TOPIC");
        return ExitCode::from(2);
    };
    match run(&bootstrap, &group, &topic) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("native_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(bootstrap: &str, group: &str, topic: &str) -> Result<Infallible, Box<dyn Error>> {
    let consumer = kafka::consumer(bootstrap, group, topic)?;
    let producer = kafka::producer(bootstrap, None)?;
    let mut commits = Commits::begin(&consumer)?;
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message?;
            let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
            kafka::reply(&producer, &Request::of(&message)?, key, "200", value, commits.token())?;
        }
        commits.commit_if_due(&consumer)?;
    }
}
