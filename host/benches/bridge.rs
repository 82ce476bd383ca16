//! The bridge: each record of a topic is an HTTP request to a server, each response a record. What people do who have a
//! handler behind HTTP, and their records in Kafka.
//!
//!     cargo bench --bench bridge -- BOOTSTRAP GROUP TOPIC ADDRESS CONNECTIONS
//!
//! At-least-once, and in no order: every connection takes the next record. `tests/bench` starts it, and stops it.

mod support {
    pub(crate) mod commits;
    pub(crate) mod http;
    pub(crate) mod kafka;
}

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::process::{self, ExitCode};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::message::Message;
use support::commits::Commits;
use support::http::Connection;
use support::kafka::{self, Producer, Request};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{self, Receiver};

/// A record on its way.
struct Order {
    key: Bytes,
    value: Bytes,
    reply_to: String,
    correlation_id: Bytes,
    token: Arc<()>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Ok([bootstrap, group, topic, address, connections]) = <[String; 5]>::try_from(arguments) else {
        eprintln!("bridge: wants BOOTSTRAP GROUP TOPIC ADDRESS CONNECTIONS");
        return ExitCode::from(2);
    };
    match connections
        .parse()
        .map_err(Into::into)
        .and_then(|connections| run(&bootstrap, &group, &topic, address, connections))
    {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    bootstrap: &str,
    group: &str,
    topic: &str,
    address: String,
    connections: usize,
) -> Result<Infallible, Box<dyn Error>> {
    let consumer = kafka::consumer(bootstrap, group, topic)?;
    let producer = kafka::producer(bootstrap, None)?;
    let (orders, taken) = mpsc::channel(2 * connections);
    thread::spawn(move || {
        if let Err(error) = ask(&address, connections, taken, &producer) {
            eprintln!("bridge: {error}");
        }
        process::exit(1);
    });
    let mut commits = Commits::begin(&consumer)?;
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message?;
            let request = Request::of(&message)?;
            let copied = |bytes: Option<&[u8]>| Bytes::copy_from_slice(bytes.unwrap_or_default());
            orders.blocking_send(Order {
                key: copied(message.key()),
                value: copied(message.payload()),
                reply_to: request.reply_to.to_owned(),
                correlation_id: copied(Some(request.correlation_id)),
                token: commits.token(),
            })?;
        }
        commits.commit_if_due(&consumer)?;
    }
}

/// All connections, on this thread.
fn ask(address: &str, connections: usize, taken: Receiver<Order>, producer: &Producer) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let taken = Rc::new(Mutex::new(taken));
    runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(serve(Connection::open(address).await?, taken.clone(), producer));
        }
        futures::future::try_join_all(open).await.map(drop)
    })
}

async fn serve(
    mut connection: Connection,
    taken: Rc<Mutex<Receiver<Order>>>,
    producer: &Producer,
) -> Result<(), Box<dyn Error>> {
    loop {
        let next = taken.lock().await.recv().await;
        let Some(Order { key, value, reply_to, correlation_id, token }) = next else { return Ok(()) };
        let path = format!("/tables/{}/orders", str::from_utf8(&key)?);
        let (status, answer) = connection.post(&path, value).await?;
        let request = Request { reply_to: &reply_to, correlation_id: &correlation_id };
        kafka::reply(producer, &request, &key, status.as_str(), &answer, token)?;
    }
}
