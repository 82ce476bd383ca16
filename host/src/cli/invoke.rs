//! `callgate invoke`: one record through a component, without a broker.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use callgate_core::disposition::{Answer, Ask, Disposition, decide};
use callgate_core::failure::Failure;
use callgate_core::limits::{CallLimits, RequestLimits};
use callgate_core::order::Ordering;
use callgate_core::record::{Coordinate, Header, OutgoingRecord, Record, Timestamp, TimestampKind};
use callgate_core::reply::{self, ReplyPolicy, ReturnAddress};
use callgate_core::request::{RequestScope, to_request};
use callgate_core::response::{self, Steering};
use callgate_core::retry::RetryPolicy;
use callgate_core::route::{ClientErrors, Instances, Operation, Route, TopicList, WithoutReplyTo};
use clap::Args;
use http::{Response, StatusCode};

use super::compile_component::compiler;
use super::input::{cache_dir, data, handler_name, operation, pair};
use super::{Format, WRONG_CONFIGURATION, print};
use crate::config::Secret;
use crate::invoke::{
    self, CacheSettings, CallError, Callable, Invoker, Link, LogBudget, Outbound, Reuse, Settings, Watchdog,
};

/// What a tenant's records may bring, and its calls may use, where the operator says nothing else.
const REQUEST_LIMITS: RequestLimits = RequestLimits { max_headers: 256, max_header_bytes: 64 << 10, max_body: 4 << 20 };
const CALL_LIMITS: CallLimits = CallLimits {
    deadline: Duration::from_secs(5),
    patience: Duration::ZERO,
    max_cpu: Duration::from_secs(1),
    max_memory: 64 << 20,
    max_request_body: 4 << 20,
    max_response_body: 4 << 20,
    max_headers: 256,
    max_header_bytes: 64 << 10,
};
const MAX_HOPS: u32 = 16;
const MAX_LOG: u64 = 64 << 10;

/// Calls a component with one record, without a broker, and prints the reply record.
///
/// What the handler writes to stdout and stderr goes to stderr. The exit status is 0 where there was a response, 1 where
/// the call failed (trap, deadline, no response) and 2 where the arguments are wrong.
#[derive(Args, Debug)]
pub(super) struct Invoke {
    /// The component: a file with an export `wasi:http/incoming-handler@0.2.x` or `wasi:http/handler@0.3.x`.
    component: PathBuf,
    /// What the record becomes, for instance `POST /orders/{id}`: `{id}` is the record header of that name.
    #[arg(long, value_name = "METHOD PATH", default_value = "POST /", value_parser = operation)]
    operation: String,
    /// The record's key. Without it, the key is null.
    #[arg(long)]
    key: Option<String>,
    /// A header of the record; may be repeated.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// The record's value: text, `@FILE`, or `@-` for stdin. Without it, the value is empty.
    #[arg(long, value_name = "TEXT or @FILE")]
    data: Option<String>,
    /// The topic that the record comes from.
    #[arg(long, default_value = "invoke")]
    topic: String,
    /// An environment variable of the handler; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// Text for people, or one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Exit with status 1 also where the response has a status of 400 or above.
    #[arg(long)]
    fail: bool,
}

impl Invoke {
    /// Makes the call and prints the reply.
    pub(super) fn run(self) -> ExitCode {
        match self.call() {
            Ok(Ended { reply, failure, status }) => {
                if let Some(reply) = reply
                    && let Err(error) = print_reply(&reply, self.format)
                {
                    tell!("callgate: the reply cannot be printed: {error}");
                    return ExitCode::FAILURE;
                }
                if let Some(failure) = &failure {
                    tell!("callgate: {failure}");
                    // The first line of a trap is what the message has said.
                    for frame in failure.trap.iter().flat_map(|trap| trap.lines().skip(1)) {
                        tell!("{frame}");
                    }
                }
                let is_error = status.is_some_and(|status| status.is_client_error() || status.is_server_error());
                if failure.is_some() || (self.fail && is_error) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
            }
            Err(error) => {
                tell!("callgate: {error:#}");
                ExitCode::from(WRONG_CONFIGURATION)
            }
        }
    }

    fn call(&self) -> anyhow::Result<Ended> {
        let route = self.route()?;
        let record = self.record()?;
        let policy = reply_policy();
        let address = match reply::return_address(&record, route.reply_to.as_ref(), &policy) {
            Ok(address) => address,
            Err(fault) => return Ok(Ended::new(&record, fault.answer.as_ref(), &policy, Err(fault.failure))),
        };
        let scope =
            RequestScope { handler: &handler_name(&self.component), attempt: 1, limits: &REQUEST_LIMITS, span: None };
        let outcome = match to_request(&record, &route, &scope) {
            Ok(request) => match self.invoke(request)? {
                Ok(response) => response::check(&response).map(|steering| (response, steering)),
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        Ok(Ended::new(&record, address.as_ref(), &policy, outcome))
    }

    fn invoke(&self, request: http::Request<Bytes>) -> anyhow::Result<Result<Response<Bytes>, Failure>> {
        let name = self.component.display();
        let component = fs::read(&self.component).with_context(|| format!("{name} cannot be read"))?;
        let compiler = compiler(&CacheSettings { folder: cache_dir(), key: None })?;
        let artifact = compiler.load(&component).with_context(|| format!("{name} cannot be called"))?;
        artifact.is_handler().with_context(|| format!("{name} cannot be called"))?;
        let callable = Arc::new(Callable {
            tenant: "invoke".into(),
            handler: handler_name(&self.component).into(),
            chain: vec![Link { name: handler_name(&self.component).into(), artifact: Arc::new(artifact) }],
            max_next_calls: 0,
            env: self.env.iter().map(|(name, value)| (name.clone(), Secret::new(value.as_str()))).collect(),
            log: Arc::new(LogBudget::new(MAX_LOG)),
            outbound: Arc::new(Outbound::closed()),
            reuse: Reuse::default(),
        });
        let settings = Settings { slots: 1, warm_memory: 0, idle_memory: 0, max_memory: CALL_LIMITS.max_memory };
        let invoker = Invoker::new(&settings, &Watchdog::start()?)?;
        match invoke::runtime()?.block_on(invoker.call(&callable, request, &CALL_LIMITS)) {
            Ok(response) => Ok(Ok(response)),
            Err(CallError::Failed(failure)) => Ok(Err(failure)),
            Err(error @ CallError::Overload(_)) => Err(error.into()),
        }
    }

    fn route(&self) -> anyhow::Result<Route> {
        let operation = Operation::parse(&self.operation, &BTreeMap::new()).map_err(|fault| anyhow!("{fault}"))?;
        Ok(Route {
            operation,
            tombstone: None,
            query: Vec::new(),
            reply_to: Some(format!("{}.replies", self.topic).into()),
            without_reply_to: WithoutReplyTo::default(),
            client_errors: ClientErrors::default(),
            ordering: Ordering::default(),
            max_in_flight: 1,
            deadline: CALL_LIMITS.deadline,
            retry: ONE_CALL,
            circuit_breaker: None,
            instances: Instances::Fresh,
        })
    }

    fn record(&self) -> anyhow::Result<Record> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Record {
            coordinate: Coordinate { topic: self.topic.as_str().into(), partition: 0, offset: 0 },
            timestamp: Some(Timestamp { millis: now.as_millis() as i64, kind: TimestampKind::CreateTime }),
            key: self.key.clone().map(Bytes::from),
            value: Some(data(self.data.as_deref().unwrap_or_default())?),
            headers: self.headers.iter().cloned().map(|(name, value)| Header::new(name, value)).collect(),
        })
    }
}

const ONE_CALL: RetryPolicy = RetryPolicy { attempts: 1, backoff: Duration::ZERO, max_backoff: Duration::ZERO };

/// How the record ended: what its requester gets, and what was wrong.
struct Ended {
    reply: Option<OutgoingRecord>,
    failure: Option<Failure>,
    status: Option<StatusCode>,
}

impl Ended {
    fn new(
        record: &Record,
        address: Option<&ReturnAddress>,
        policy: &ReplyPolicy,
        outcome: Result<(Response<Bytes>, Steering), Failure>,
    ) -> Self {
        let ask = Ask {
            addressed: address.is_some(),
            attempt: 1,
            client_errors: ClientErrors::default(),
            retry: &ONE_CALL,
            jitter: 0.0,
            now: Duration::ZERO,
        };
        let disposition = decide(outcome.as_ref().map(|(response, _)| response), &ask);
        let reply = address.and_then(|address| match (disposition, &outcome) {
            (
                Disposition::Reply | Disposition::DeadLetter { answer: Answer::LastResponse },
                Ok((response, steering)),
            ) => Some(reply::reply(record, address, response, steering, policy, None)),
            (Disposition::DeadLetter { answer: Answer::Error(status) }, Err(failure)) => {
                Some(reply::error_reply(record, address, status, failure, policy, None))
            }
            _ => None,
        });
        match outcome {
            Ok((response, _)) => Self { reply, failure: None, status: Some(response.status()) },
            Err(failure) => Self { reply, failure: Some(failure), status: None },
        }
    }
}

fn print_reply(reply: &OutgoingRecord, format: Format) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    print::record(reply, format, &mut stdout).and_then(|()| stdout.flush())
}

/// The default names of return addresses and correlation identifiers; every topic may be addressed, since nothing is
/// produced.
fn reply_policy() -> ReplyPolicy {
    let names = |names: &[&'static str]| names.iter().map(|&name| name.into()).collect();
    ReplyPolicy::new(
        names(&["reply-to", "kafka_replyTopic", "zilla:reply-to"]),
        names(&["correlation-id", "kafka_correlationId", "zilla:correlation-id", "correlationid"]),
        TopicList::new(["*"]).unwrap_or_default(),
        MAX_HOPS,
    )
}
