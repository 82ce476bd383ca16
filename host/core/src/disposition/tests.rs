use http::header::RETRY_AFTER;

use super::*;

const POLICY: RetryPolicy =
    RetryPolicy { attempts: 3, backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(30) };
const REPLY: Disposition = Disposition::Reply;
const DONE: Disposition = Disposition::Done;
const RETRY: Disposition = Disposition::Retry { after: Duration::from_millis(100) };
const KEPT: Disposition = Disposition::DeadLetter { answer: Answer::None };
const KEPT_AND_LAST: Disposition = Disposition::DeadLetter { answer: Answer::LastResponse };

fn kept_and(status: u16) -> Disposition {
    Disposition::DeadLetter { answer: Answer::Error(status) }
}

fn ask(addressed: bool, attempt: u32) -> Ask<'static> {
    let client_errors = ClientErrors::DeadLetter;
    Ask { addressed, attempt, client_errors, retry: &POLICY, jitter: 0.0, now: Duration::ZERO }
}

fn response(status: u16) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::new()).expect("a response")
}

/// What an outcome means: at the first call and at the last, with a return address and without.
fn row(outcome: Result<&Response<Bytes>, &Failure>) -> [Disposition; 4] {
    [(true, 1), (true, 3), (false, 1), (false, 3)].map(|(addressed, attempt)| decide(outcome, &ask(addressed, attempt)))
}

#[test]
fn responses() {
    for status in [200, 201, 204, 299, 301, 304, 399] {
        assert_eq!(row(Ok(&response(status))), [REPLY, REPLY, DONE, DONE], "{status}");
    }
    for status in [400, 401, 404, 407, 409, 424, 426, 428, 431, 499] {
        assert_eq!(row(Ok(&response(status))), [REPLY, REPLY, KEPT, KEPT], "{status}");
    }
    for status in [408, 425, 429, 500, 502, 503, 599] {
        assert_eq!(row(Ok(&response(status))), [RETRY, KEPT_AND_LAST, RETRY, KEPT], "{status}");
    }
    for status in [100, 103, 600, 999] {
        assert_eq!(row(Ok(&response(status))), [RETRY, kept_and(502), RETRY, KEPT], "{status}");
    }
}

#[test]
fn failures() {
    let row = |reason| row(Err(&Failure::new(reason, "")));
    for reason in
        [Reason::Trap, Reason::OutOfMemory, Reason::NoResponse, Reason::InvalidResponse, Reason::ResponseTooLarge]
    {
        assert_eq!(row(reason), [RETRY, kept_and(502), RETRY, KEPT], "{reason}");
    }
    assert_eq!(row(Reason::Deadline), [RETRY, kept_and(504), RETRY, KEPT]);
    assert_eq!(row(Reason::InvalidRequest), [kept_and(400), kept_and(400), KEPT, KEPT]);
    assert_eq!(row(Reason::RequestTooLarge), [kept_and(413), kept_and(413), KEPT, KEPT]);
    for reason in [Reason::ReplyTooLarge, Reason::ReplyFailed] {
        assert_eq!(row(reason), [kept_and(500), kept_and(500), KEPT, KEPT], "{reason}");
    }
    for reason in [Reason::TooManyHops, Reason::ReplyRefused, Reason::Status] {
        assert_eq!(row(reason), [KEPT; 4], "{reason}");
    }
}

#[test]
fn a_route_may_accept_client_errors() {
    let accepting = |addressed| Ask { client_errors: ClientErrors::Accept, ..ask(addressed, 1) };
    assert_eq!(decide(Ok(&response(404)), &accepting(false)), DONE);
    assert_eq!(decide(Ok(&response(404)), &accepting(true)), REPLY);
    assert_eq!(decide(Ok(&response(429)), &accepting(false)), RETRY);
}

#[test]
fn a_response_says_when_to_come_back() {
    let mut busy = response(503);
    busy.headers_mut().insert(RETRY_AFTER, 9.into());
    assert_eq!(decide(Ok(&busy), &ask(true, 1)), Disposition::Retry { after: Duration::from_secs(9) });
    assert_eq!(decide(Ok(&busy), &ask(true, 3)), KEPT_AND_LAST);
}

#[test]
fn one_attempt_is_no_retry() {
    let once = RetryPolicy { attempts: 1, ..POLICY };
    assert_eq!(decide(Ok(&response(500)), &Ask { retry: &once, ..ask(true, 1) }), KEPT_AND_LAST);
}

#[test]
fn a_dead_letter_names_the_response() {
    let failure = failure_of(&response(503));
    assert_eq!((failure.reason, failure.status), (Reason::Status, Some(503)));
    assert_eq!(failure.message, "the handler answered 503 Service Unavailable");
}
