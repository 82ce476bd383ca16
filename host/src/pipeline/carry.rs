//! The way of one record.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use callgate_core::dead_letter::takes_dead_letters;
use callgate_core::disposition::{self, Answer, Ask, Disposition, decide};
use callgate_core::failure::{Failure, Reason};
use callgate_core::record::Record;
use callgate_core::reply::{AddressFault, ReturnAddress, reply, return_address};
use callgate_core::request::{RequestScope, to_request};
use callgate_core::response::{Steering, check};
use callgate_core::route::WithoutReplyTo;
use http::Response;

use super::bound::Bound;
use super::gate;
use super::jobs::Job;
use super::unit::{RecordUnit, Settlement};
use super::worker::Worker;
use crate::consume::Held;
use crate::invoke::{Attempts, CallError};
use crate::planted;
use crate::settle;

/// Between attempts to find room for a call.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How long a call may wait for turns beyond its deadline after so many attempts that found no room.
const MAX_PATIENCE: Duration = Duration::from_secs(3600);

/// Carries a record to its end: route → request → invoke → response → reply → settle. Returns when the next record of
/// its lane may start. May be dropped at any point: the record then has no end, and comes again.
pub(super) async fn carry(worker: &Worker, job: &Job, held: Held) {
    let settlement = &*job.settlement;
    let (record, place) = held.split(&job.partition);
    // Without a route its handler is gone: later records wait too, uncommitted.
    let Some(bound) = job.routes.get(&record.coordinate.topic) else { return place.put_down() };
    let mut unit = RecordUnit {
        record,
        place,
        bound,
        observer: worker.observer.clone(),
        address: None,
        attempts: 0,
        status: None,
        component: None,
        pass: None,
        span: Some(fastrand::u64(1..).to_be_bytes()),
        memory: None,
        began: Instant::now(),
    };

    match address(settlement, &unit.bound, &unit.record).await {
        Ok(Some(address)) => unit.address = Some(address),
        Ok(None) if unit.bound.route.without_reply_to == WithoutReplyTo::Skip => return settlement.done(unit).await,
        Ok(None) => {}
        Err(fault) => {
            unit.address = fault.answer;
            return refuse(settlement, unit, fault.failure).await;
        }
    }

    let (mut pause, mut patience, mut is_first_call) = (FIRST_PAUSE, Duration::ZERO, true);
    let mut attempts = Attempts::default();
    loop {
        match gate::pass(job, &mut unit).await {
            Some(other_version) => is_first_call |= other_version,
            None => return unit.place.put_down(),
        }
        assert!(!planted::fault("fail-at-record") || unit.record.value.as_deref() != Some(b"fail"), "a planted fault");
        let request = match to_request(&unit.record, &unit.bound.route, &scope(&unit)) {
            Ok(request) => request,
            Err(failure) => return refuse(settlement, unit, failure).await,
        };
        let (called, mut memory) = worker.call(&unit.bound, request, patience, &mut attempts).await;
        let outcome = match called {
            Err(CallError::Overload(reason)) => {
                drop(memory);
                overloaded(&unit.bound, &reason, &mut pause).await;
                // So that a call is not ended for want of turns for ever, however many compete.
                patience = (patience * 2 + unit.bound.limits.deadline).min(MAX_PATIENCE);
                continue;
            }
            Err(CallError::Failed(failure)) => Err(failure),
            Ok(response) => check(&response).map(|steering| (response, steering)),
        };
        planted::die("die-after-call");
        unit.attempts += 1 + u32::from(planted::fault("attempts-off-by-one"));
        if planted::fault("swallow-trap") && matches!(&outcome, Err(failure) if failure.reason == Reason::Trap) {
            return settlement.done(unit).await;
        }
        if let Some(probation) = unit.bound.handler.probation.as_ref().filter(|_| is_first_call) {
            probation.first_call(outcome.as_ref().err().map(|failure| failure.reason));
        }
        unit.status = outcome.as_ref().ok().map(|(response, _)| response.status().as_u16());
        tell_attempt(&unit, outcome.as_ref().err());

        match decide(outcome.as_ref().map(|(response, _)| response), &ask(&unit)) {
            Disposition::Retry { after } => {
                drop(memory);
                if planted::fault("retry-loses-place")
                    && let Some(next) = job.partition.next(&job.lane)
                {
                    Box::pin(carry(worker, job, next)).await;
                }
                {
                    let _waits = unit.bound.activity.begin_retry();
                    tokio::time::sleep(after).await;
                }
                // The version that is current when its time comes.
                let Some(bound) = job.routes.get(&unit.record.coordinate.topic) else { return unit.place.put_down() };
                is_first_call = !Arc::ptr_eq(&unit.bound.handler, &bound.handler);
                unit.bound = bound;
            }
            end => {
                memory.shrink_to(held_until_settled(&unit.record, &outcome));
                unit.memory = Some(memory);
                return settle(settlement, unit, end, outcome).await;
            }
        }
    }
}

/// One line for each attempt, for who asks for it: which version it ran on, and as which span of the record's trace.
fn tell_attempt(unit: &RecordUnit, failure: Option<&Failure>) {
    let (at, handler) = (&unit.record.coordinate, &unit.bound.handler);
    tracing::debug!(
        target: "callgate::call", topic = %at.topic, partition = at.partition, offset = at.offset,
        tenant = %handler.tenant.name, handler = %handler.name, version = %handler.version, attempt = unit.attempts,
        span = unit.span.map(|span| format!("{:016x}", u64::from_be_bytes(span))), status = unit.status,
        reason = failure.map(|failure| failure.reason.as_str()), "attempt"
    );
}

/// What core needs to make the request.
fn scope(unit: &RecordUnit) -> RequestScope<'_> {
    let handler = &unit.bound.handler;
    RequestScope {
        handler: &handler.name,
        attempt: unit.attempts + 1,
        limits: &handler.tenant.request,
        span: unit.span,
    }
}

/// The return address, if the record has one, checked as far as it can be before the handler is called.
async fn address(
    settlement: &Settlement,
    bound: &Bound,
    record: &Record,
) -> Result<Option<ReturnAddress>, AddressFault> {
    let found = return_address(record, bound.route.reply_to.as_ref(), &bound.handler.tenant.reply)?;
    let Some(address) = found else { return Ok(None) };
    if takes_dead_letters(&address.topic, &bound.handler.tenant.dead_letter) {
        // Whoever reads dead letters trusts them to be the host's.
        let message =
            format!("the return address {} is a topic of dead letters, which only the host writes", address.topic);
        return Err(AddressFault::from(Failure::new(Reason::ReplyRefused, message)));
    }
    match settlement.topic(&address.topic).await {
        Ok(known) => {
            let mut found = address.check_partition(known.partitions);
            // It may have got more of them since it was asked about.
            if found.is_err()
                && let Ok(known) = settlement.directory().look_up_again(&address.topic).await
            {
                found = address.check_partition(known.partitions);
            }
            found?;
        }
        Err(reason) => {
            let message = format!("the broker refuses the reply topic {}: {reason}", address.topic);
            return Err(AddressFault::from(Failure::new(Reason::ReplyFailed, message)));
        }
    }
    Ok(Some(address))
}

/// The host had no room for the call: that is not the handler's fault, so it is tried again and not counted.
async fn overloaded(bound: &Bound, reason: &str, pause: &mut Duration) {
    tracing::warn!(target: "callgate::pipeline", code = "run.no-room", handler = %bound.handler, reason, "a call found no room; it is tried again");
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(MAX_PAUSE);
}

/// The most that is in memory of what comes of a call: the answer, which the Kafka client copies, and the record in a dead
/// letter. The record itself is counted by its partition.
fn held_until_settled(record: &Record, outcome: &Result<(Response<Bytes>, Steering), Failure>) -> u64 {
    let answer = outcome.as_ref().map_or(0, |(response, _)| response.body().len());
    (2 * answer + record.size()) as u64
}

/// What core needs to decide.
fn ask(unit: &RecordUnit) -> Ask<'_> {
    Ask {
        addressed: unit.address.is_some(),
        attempt: unit.attempts,
        client_errors: unit.bound.route.client_errors,
        retry: &unit.bound.route.retry,
        jitter: fastrand::f64(),
        now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    }
}

/// Ends a record that is not called, for what it is or for whom it names.
async fn refuse(settlement: &Settlement, unit: RecordUnit, failure: Failure) {
    let end = decide(Err(&failure), &ask(&unit));
    settle(settlement, unit, end, Err(failure)).await;
}

/// Makes the end that was decided.
async fn settle(
    settlement: &Settlement,
    mut unit: RecordUnit,
    end: Disposition,
    outcome: Result<(Response<Bytes>, Steering), Failure>,
) {
    let replied = |unit: &RecordUnit| {
        let (Some(address), Ok((response, steering))) = (&unit.address, &outcome) else { return None };
        let mut reply = reply(&unit.record, address, response, steering, &unit.bound.handler.tenant.reply, unit.span);
        if planted::fault("no-hops") {
            reply.headers.retain(|header| &*header.name != b"x-callgate-hops");
        }
        Some(reply)
    };
    match end {
        Disposition::Reply => match replied(&unit) {
            Some(record) => settlement.reply(unit, record).await,
            None => settlement.done(unit).await,
        },
        Disposition::Done | Disposition::Retry { .. } => settlement.done(unit).await,
        Disposition::DeadLetter { answer } => {
            let answer = match answer {
                Answer::None => settle::Answer::Nothing,
                Answer::LastResponse => replied(&unit).map_or(settle::Answer::Nothing, settle::Answer::Reply),
                Answer::Error(status) => settle::Answer::Error(status),
            };
            let failure = outcome.map_or_else(|failure| failure, |(response, _)| disposition::failure_of(&response));
            unit.component.clone_from(&failure.component);
            settlement.dead_letter(unit, failure, answer).await;
        }
    }
}
