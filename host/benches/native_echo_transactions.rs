//! The native echo in transactions: as `native_echo`, but replies and offsets are committed together.
//!
//!     cargo bench --bench native_echo_transactions -- BOOTSTRAP GROUP TOPIC
//!
//! A transaction holds what has been fetched when it begins, as the load makes it.

mod support {
    pub(crate) mod kafka;
}

use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{env, thread};

use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::producer::Producer;
use support::kafka::{self, Request};

/// Records of one transaction at most.
const RECORDS: usize = 2000;

const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Ok([bootstrap, group, topic]) = <[String; 3]>::try_from(arguments) else {
        eprintln!("native_echo_transactions: wants BOOTSTRAP GROUP TOPIC");
        return ExitCode::from(2);
    };
    match run(&bootstrap, &group, &topic) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("native_echo_transactions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(bootstrap: &str, group: &str, topic: &str) -> Result<Infallible, Box<dyn Error>> {
    let consumer = kafka::consumer(bootstrap, group, topic)?;
    let producer = kafka::producer(bootstrap, Some(group))?;
    producer.init_transactions(PATIENCE)?;
    let token = Arc::default();
    loop {
        let Some(first) = consumer.poll(Duration::from_millis(100)) else { continue };
        producer.begin_transaction()?;
        let more = std::iter::from_fn(|| consumer.poll(Duration::ZERO));
        for message in std::iter::once(first).chain(more).take(RECORDS) {
            let message = message?;
            let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
            kafka::reply(&producer, &Request::of(&message)?, key, "200", value, Arc::clone(&token))?;
        }
        // A commit that has to wait for acknowledgements looks for them ten times a second only.
        while Arc::strong_count(&token) > 1 {
            thread::sleep(Duration::from_micros(100));
        }
        let membership = consumer.group_metadata().ok_or("not a member of the group")?;
        producer.send_offsets_to_transaction(&consumer.position()?, &membership, PATIENCE)?;
        producer.commit_transaction(PATIENCE)?;
    }
}
