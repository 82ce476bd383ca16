//! `callgate call`: one request record, and the reply to it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use callgate_core::record::{Header, OutgoingRecord, last};
use clap::Args;

use super::input::{data, pair};
use super::{Format, WRONG_CONFIGURATION, print};
use crate::broker::{ClientSettings, Requester};
use crate::config::parse_duration;

const REPLY_TO: &str = "reply-to";
const CORRELATION_ID: &str = "correlation-id";
const STATUS_CODE: &str = "status-code";

/// Sends a request record with a return address, waits for the reply and prints it.
///
/// The exit status is 0 where a reply came, whatever its status, and 1 where none came in time.
#[derive(Args, Debug)]
pub(super) struct Call {
    /// The topic of the request.
    topic: String,
    /// The brokers, comma-separated.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092")]
    bootstrap: String,
    /// The record's key. Without it, the key is null.
    #[arg(long)]
    key: Option<String>,
    /// A header of the record; may be repeated.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// The record's value: text, `@FILE`, or `@-` for stdin. Without it, the value is empty.
    #[arg(long, value_name = "TEXT or @FILE")]
    data: Option<String>,
    /// The topic of the reply; made if it is missing. By default the request's with `.replies` at its end.
    #[arg(long, value_name = "TOPIC")]
    reply_to: Option<String>,
    /// Name no return address and wait for no reply: exit when the broker has the record.
    #[arg(long, conflicts_with_all = ["reply_to", "fail", "format"])]
    no_reply: bool,
    /// How long to wait for the reply, from the moment the request is sent.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Text for people, or one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Exit with status 1 also where the reply has a status of 400 or above.
    #[arg(long)]
    fail: bool,
}

impl Call {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings =
            ClientSettings { bootstrap_servers: self.bootstrap.clone(), properties: Vec::new(), embedded: false };
        let mut requester = Requester::new(&settings, &self.topic, self.timeout).map_err(anyhow::Error::msg)?;
        if self.no_reply {
            requester.send(self.record(self.given_headers())?, self.timeout).map_err(anyhow::Error::msg)?;
            return Ok(ExitCode::SUCCESS);
        }
        let reply_to = self.reply_to.clone().unwrap_or_else(|| format!("{}.replies", self.topic));
        if reply_to == self.topic {
            tell!("error: the reply cannot come to {reply_to}, the topic of the request: name another one");
            return Ok(ExitCode::from(WRONG_CONFIGURATION));
        }
        if self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(REPLY_TO)) {
            tell!("error: `{REPLY_TO}` is given by --reply-to; only with --no-reply may it be any --header");
            return Ok(ExitCode::from(WRONG_CONFIGURATION));
        }
        let (request, correlation) = self.request(&reply_to)?;
        requester.listen(&reply_to).map_err(anyhow::Error::msg)?;
        let deadline = Instant::now() + self.timeout;
        requester.send(request, self.timeout).map_err(anyhow::Error::msg)?;
        let reply = requester
            .wait(deadline, |record| {
                last(&record.headers, CORRELATION_ID).and_then(|header| header.value.as_deref())
                    == Some(correlation.as_bytes())
            })
            .map_err(anyhow::Error::msg)?;
        let Some(reply) = reply else {
            let topic = &self.topic;
            anyhow::bail!(
                "no reply to the request to {topic} came to {reply_to} within {:?}; does a handler consume {topic}, \
                 and may its tenant's records address {reply_to}?",
                self.timeout
            );
        };
        let mut stdout = io::stdout().lock();
        print::record(&reply, self.format, &mut stdout).and_then(|()| stdout.flush())?;
        let status = last(&reply.headers, STATUS_CODE).and_then(|header| header.value.as_deref());
        let is_error = status.is_some_and(|status| status.starts_with(b"4") || status.starts_with(b"5"));
        Ok(if self.fail && is_error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// The record with a return address, and the correlation identifier by which its reply is known.
    fn request(&self, reply_to: &str) -> anyhow::Result<(OutgoingRecord, String)> {
        let mut headers = self.given_headers();
        let given = self.headers.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(CORRELATION_ID));
        let correlation = given.map_or_else(|| format!("{:016x}", fastrand::u64(..)), |(_, value)| value.clone());
        if given.is_none() {
            headers.push(Header::new(CORRELATION_ID, correlation.clone()));
        }
        headers.push(Header::new(REPLY_TO, reply_to.to_owned()));
        Ok((self.record(headers)?, correlation))
    }

    fn given_headers(&self) -> Vec<Header> {
        self.headers.iter().cloned().map(|(name, value)| Header::new(name, value)).collect()
    }

    fn record(&self, headers: Vec<Header>) -> anyhow::Result<OutgoingRecord> {
        Ok(OutgoingRecord {
            topic: self.topic.as_str().into(),
            partition: None,
            timestamp: None,
            key: self.key.clone().map(Into::into),
            value: Some(data(self.data.as_deref().unwrap_or_default())?),
            headers,
        })
    }
}
