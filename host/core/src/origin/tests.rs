use super::*;

#[test]
fn an_origin_has_one_normal_form() {
    for (written, normal) in [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com:443", "https://api.example.com"),
        ("http://api.example.com:443", "http://api.example.com:443"),
        ("http://api.example.com:00080", "http://api.example.com"),
        ("HTTPS://API.Example.COM.", "https://api.example.com"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER.example:8443", "https://xn--bcher-kva.example:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("http://my_service:8080", "http://my_service:8080"),
        ("http://stock.shop.svc:8080", "http://stock.shop.svc:8080"),
        ("http://10.0.0.1", "http://10.0.0.1"),
        ("http://10.0.0.1.:8080", "http://10.0.0.1:8080"),
        ("http://[2001:4860:0:0::8888]:80", "http://[2001:4860::8888]"),
        ("https://[::FFFF:127.0.0.1]:80", "https://[::ffff:127.0.0.1]:80"),
        ("http://0x7f.example", "http://0x7f.example"),
    ] {
        let origin = Origin::parse(written).unwrap_or_else(|fault| panic!("{written}: {fault:?}"));
        assert_eq!(origin.to_string(), normal, "{written}");
        assert_eq!(Origin::parse(normal), Ok(origin.clone()));
        assert_eq!(Origin::of(&normal.parse().expect("a URI")), Ok(origin));
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_no_origin() {
    for (written, reason) in [
        ("", "no scheme"),
        ("api.example.com", "no scheme"),
        ("//api.example.com", "no scheme"),
        ("ftp://api.example.com", "scheme other than"),
        ("https:///", "more than"),
        ("https://", "no name"),
        ("https://api.example.com/", "more than"),
        ("https://api.example.com/v1", "more than"),
        ("https://api.example.com?a", "more than"),
        ("https://api.example.com#a", "more than"),
        ("https://api.example.com\\@evil.example", "more than"),
        ("https://user:password@api.example.com", "user information"),
        ("https://api.example.com@127.0.0.1", "user information"),
        ("https://*.example.com", "wildcard"),
        ("https://api%2eexample.com", "percent-encoded"),
        ("https://api.example.com:", "port"),
        ("https://api.example.com:0", "port"),
        ("https://api.example.com:65536", "port"),
        ("https://api.example.com:+80", "port"),
        ("https://api.example.com:http", "port"),
        ("https://2001:db8::1", "several colons"),
        ("https://[2001:db8::1", "`[` without"),
        ("https://[2001:db8::1]x", "after its host"),
        ("https://[fe80::1%25eth0]", "no IPv6 address"),
        ("https://[127.0.0.1]", "no IPv6 address"),
        ("https://[::1]]", "after its host"),
        ("http://127.1", "read as an address"),
        ("http://2130706433", "read as an address"),
        ("http://0177.0.0.1", "read as an address"),
        ("http://0x7f.1", "read as an address"),
        ("http://0x7f000001", "read as an address"),
        ("http://0x", "read as an address"),
        ("http://127.0.0.0x1", "read as an address"),
        ("http://example.1", "read as an address"),
        ("http://1.2.3.4.5", "read as an address"),
        ("http://256.0.0.1", "read as an address"),
        ("http://１２７.０.０.１", "read as an address"),
        ("http://①②⑦.0.0.1", "read as an address"),
        ("https://api..example.com", "no name"),
        ("https://.example.com", "no name"),
        ("https://api.example.com..", "no name"),
        ("https://-api.example.com", "no name"),
        ("https://api-.example.com", "no name"),
        ("https://api example.com", "no name"),
        ("https://api.example.com\0", "no name"),
        ("http://next.callgate.internal", "middleware"),
        ("http://NEXT.callgate.internal.:80", "middleware"),
    ] {
        let fault = Origin::parse(written).expect_err(written);
        assert!(fault.reason.contains(reason), "{written}: {}", fault.reason);
    }
    let long = format!("https://{}.com", "a".repeat(64));
    assert!(Origin::parse(&long).is_err());
    let deep = format!("https://{}com", "a.".repeat(126));
    assert!(Origin::parse(&deep).is_err());
}

#[test]
fn origins_that_differ_in_anything_are_not_the_same() {
    let origin = Origin::parse("https://api.example.com").expect("an origin");
    for other in [
        "http://api.example.com",
        "http://api.example.com:443",
        "https://api.example.com:8443",
        "https://api.example.co",
        "https://api.example.com.evil.example",
        "https://example.com",
        "https://evil-api.example.com",
    ] {
        assert_ne!(Origin::parse(other).expect(other), origin);
    }
}
