use std::time::UNIX_EPOCH;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const POLICY: RetryPolicy =
    RetryPolicy { attempts: 5, backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(30) };

#[test]
fn the_back_off_doubles_up_to_its_cap() {
    let longest = |attempt| POLICY.delay(attempt, 1.0, None).as_millis();
    assert_eq!([1, 2, 3, 4].map(longest), [200, 400, 800, 1600]);
    assert_eq!([9, 40, u32::MAX].map(longest), [30_000; 3]);
}

#[test]
fn half_of_the_back_off_is_drawn() {
    assert_eq!(POLICY.delay(1, 0.0, None), Duration::from_millis(100));
    assert_eq!(POLICY.delay(1, 0.5, None), Duration::from_millis(150));
}

#[test]
fn what_the_handler_asks_for_replaces_the_back_off() {
    assert_eq!(POLICY.delay(1, 0.9, Some(Duration::from_secs(7))), Duration::from_secs(7));
    assert_eq!(POLICY.delay(1, 0.9, Some(Duration::ZERO)), Duration::ZERO);
    assert_eq!(POLICY.delay(1, 0.9, Some(Duration::from_secs(3600))), POLICY.max_backoff);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = Duration::from_secs(1_000_000_000);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + now + Duration::from_secs(90));
    let past = httpdate::fmt_http_date(UNIX_EPOCH + now - Duration::from_secs(90));
    let cases = [
        ("120", Some(Duration::from_secs(120))),
        ("0", Some(Duration::ZERO)),
        ("99999999999999999999999", Some(Duration::from_secs(u64::MAX))),
        (date.as_str(), Some(Duration::from_secs(90))),
        (past.as_str(), Some(Duration::ZERO)),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ];
    for (text, expected) in cases {
        let value = HeaderValue::from_str(text).expect("a header's value");
        assert_eq!(retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]), now), expected, "{text}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_the_cap(
        attempt: u32,
        jitter in 0.0..1.0,
        asked in prop::option::of(any::<u64>()),
        backoff: u64,
        cap: u64,
    ) {
        let [backoff, max_backoff] = [backoff, cap].map(Duration::from_millis);
        let policy = RetryPolicy { attempts: 1, backoff, max_backoff };
        prop_assert!(policy.delay(attempt, jitter, asked.map(Duration::from_secs)) <= policy.max_backoff);
    }
}
