//! Addresses that no handler may reach, in every spelling that some program takes for one of them. Each goes the whole way:
//! a guest's request, and a list that has what a host without these checks would find in it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use callgate_core::origin::{Host, Scheme};

use super::*;

/// Hosts that mean this machine or a metadata service, to one program or another: in a URI, `{port}` after them.
#[rustfmt::skip]
const HOSTS: &[&str] = &[
    // As it is, and with what does not matter.
    "127.0.0.1", "127.0.0.1.", "127.0.0.2", "127.127.127.127", "127.255.255.255", "localhost", "LOCALHOST", "localhost.",
    "LocalHost.", "localhost.localdomain", "ip6-localhost", "0.0.0.0", "0.0.0.0.",
    // Fewer numbers.
    "127.1", "127.0.1", "127.1.", "127.0.1.", "0", "0.", "0.0", "0.0.0", "127.65535", "127.0.257", "10.1", "192.168.257",
    "169.254.43518", "169.16689662",
    // One number.
    "2130706433", "2130706433.", "02130706433", "3232235521", "2852039166", "167772161", "4294967295", "4294967296",
    "6425673729", "00000000000000000002130706433",
    // Octal.
    "0177.0.0.1", "0177.0.0.01", "0177.1", "00177.0.0.1", "0000177.0.0.1", "017700000001", "0177.0.0.0x1", "0251.0376.0251.0376",
    "0251.254.169.254", "012.0.0.1", "0300.0250.0.1", "025177524776", "0251.00376.000251.0000376",
    // Hexadecimal.
    "0x7f.0.0.1", "0x7f.1", "0X7F.1", "0x7f000001", "0X7F000001", "0x7f.0x0.0x0.0x1", "0x7F.0X0.0x00.0x000001", "0x0000007f000001",
    "0x7f.0.1", "0xa9.0xfe.0xa9.0xfe", "0xa9fea9fe", "0xA9FEA9FE", "0xa.1", "0xc0a80001", "0x0", "0x", "127.0x1",
    "0xa9.254.0251.254", "0x41414141a9fea9fe",
    // Leading zeros and what is too large.
    "127.0.0.01", "127.0.00.1", "127.000.000.001", "127.0.0.001", "383.0.0.1", "256.256.256.256", "127.0.0.257", "127.0.0.1.1",
    "127..0.1", ".127.0.0.1", "127.0.0.1..", "127.0.0.-1", "+127.0.0.1", "127.0.0.1e0", "1.27e2.0.0.1",
    // IPv6.
    "[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::0:1]", "[0::1]", "[::0001]", "[::]", "[0::0]",
    "[0:0:0:0:0:0:0:0]", "[::0.0.0.1]", "[::0.0.0.0]",
    // IPv4 within IPv6.
    "[::ffff:127.0.0.1]", "[::FFFF:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:7f00:0001]", "[0:0:0:0:0:ffff:127.0.0.1]",
    "[0:0:0:0:0:ffff:7f00:1]", "[0000:0000:0000:0000:0000:ffff:7f00:0001]", "[::ffff:0:0]", "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]", "[::ffff:10.0.0.1]", "[::ffff:192.168.0.1]", "[::ffff:0:127.0.0.1]", "[::ffff:0:7f00:1]", "[::127.0.0.1]",
    "[::7f00:1]", "[::169.254.169.254]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[64:ff9b:1:fffe::169.254.169.254]", "[2002:7f00:1::]", "[2002:7f00:0001::1]",
    "[2002:a9fe:a9fe::]", "[2002:c0a8:1::1]", "[2001:0:0:0:0:0:80ff:fffe]", "[2001::80ff:fffe]", "[2001:0:5601:5601::5601:5601]",
    // Local, private and metadata.
    "[fe80::1]", "[fe80::a9fe:a9fe]", "[febf::1]", "[fec0::1]", "[fc00::1]", "[fd00::1]", "[fd00:ec2::254]", "[FD00:EC2::254]",
    "[fd00:0ec2:0:0:0:0:0:0254]", "[fd00:ec2::23]", "[fd20:ce::254]", "[ff02::1]", "[ff01::1]", "[100::1]", "[2001:db8::1]", "[3fff::1]",
    "[2001:2::1]", "[2001:10::1]", "[5f00::1]", "[4000::1]",
    // Zones, and brackets around what is none.
    "[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1%251]", "[127.0.0.1]", "[localhost]", "[0x7f000001]",
    "[::ffff:0177.0.0.1]", "[::ffff:127.1]", "[::1]]", "[[::1]]", "[::1", "::1", "::ffff:127.0.0.1", "[v1.::1]", "[::1.]",
    // Percent-encoded.
    "127.0.0.%31", "%31%32%37.0.0.1", "127%2e0%2e0%2e1", "%6c%6f%63%61%6c%68%6f%73%74", "localhos%74", "169.254.169.254%00",
    "127.0.0.1%20", "127.0.0.1%2f", "127.0.0.1%09", "%5b::1%5d",
    // Digits, dots and letters of other scripts.
    "１２７.０.０.１", "①②⑦.⓪.⓪.①", "𝟏𝟐𝟕.𝟎.𝟎.𝟏", "١٢٧.٠.٠.١", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1",
    "ｌｏｃａｌｈｏｓｔ", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "𝓁ocalhost", "localhoſt", "locаlhost", "127.0.0.1\u{200b}", "127.0.0.1\u{ad}", "\u{feff}127.0.0.1",
    // User information, and what hides the host.
    "api.test@127.0.0.1", "api.test:80@127.0.0.1", "api.test:secret@127.0.0.1", "@127.0.0.1", ":@127.0.0.1", "127.0.0.1@api.test",
    "api.test@[::1]", "api.test@2130706433", "api.test%40127.0.0.1", "api.test\\@127.0.0.1", "api.test/@127.0.0.1",
    "api.test#@127.0.0.1", "api.test?@127.0.0.1", "127.0.0.1#.api.test", "127.0.0.1?.api.test", "127.0.0.1/.api.test",
    "127.0.0.1\\.api.test", "api.test 127.0.0.1", "api.test\t127.0.0.1", "api.test\r\nhost: 127.0.0.1", "127.0.0.1\0.api.test",
    "api.test,127.0.0.1", "api.test;127.0.0.1", "127.0.0.1;api.test", "127.0.0.1&api.test", "api.test|127.0.0.1",
    // Metadata services, by address and by name.
    "169.254.169.254", "169.254.169.254.", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "metadata.google.internal", "metadata", "instance-data",
    // The rest of what is not public.
    "0.0.0.1", "0.255.255.255", "10.0.0.1", "10.255.255.254", "100.64.0.1", "100.127.255.254", "169.254.0.1", "172.16.0.1",
    "172.31.255.254", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.254", "198.18.0.1", "198.19.255.254",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.254", "255.255.255.255",
    "next.callgate.internal",
];

/// Addresses, each of which some name has.
#[rustfmt::skip]
const ADDRESSES: &[&str] = &[
    "0.0.0.0", "0.0.0.1", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
    "127.0.0.53", "127.255.255.255", "168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "169.254.170.23",
    "169.254.255.255", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1",
    "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::8.8.8.8", "64:ff9b:1::127.0.0.1", "100::1",
    "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "3fff::1", "4000::1", "5f00::1",
    "fc00::1", "fd00::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::1", "febf::1", "fec0::1", "ff02::1",
];

/// Of those, what the operator can open.
#[rustfmt::skip]
const PRIVATE: &[&str] = &[
    "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.0.0.53", "127.255.255.255", "172.16.0.1",
    "172.31.255.255", "192.168.0.1", "192.168.255.255", "::1", "64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8", "fc00::1", "fd00::1",
];

/// What an operator's list could have if nobody looked at it: the text as a name.
fn unchecked(host: &str, port: u16) -> AllowedOrigin {
    let host = match host.trim_matches(['[', ']']).parse() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(host.into()),
    };
    AllowedOrigin { origin: Origin { scheme: Scheme::Http, host, port }, private: false, authorities: None }
}

#[test]
fn no_spelling_of_a_forbidden_host_is_reached() {
    let server = Server::start();
    let port = server.port;
    // Whatever is taken for a name is found on this machine.
    let network = local_network();
    let mut origins: Vec<_> = HOSTS.iter().map(|host| unchecked(host, port)).collect();
    origins.push(unchecked("api.test", port));
    let callable = caller("acme", &origins, OUTBOUND_LIMITS, &network);
    let expected =
        ["HttpRequestDenied", "DestinationIpProhibited", "HttpRequestUriInvalid", "the authority is refused"];
    on_a_worker(async {
        let invoker = invoker();
        for host in HOSTS.iter().chain(&["api.test"]) {
            let wish = json!({ "authority": format!("{host}:{port}") });
            let came = fetch_one(&invoker, &callable, &wish).await;
            assert!(expected.iter().any(|expected| error(&came).contains(expected)), "{host:?}: {came}");
        }
    });
    assert!(HOSTS.len() >= 200, "{}", HOSTS.len());
    assert_eq!(server.connections(), 0);
}

#[test]
fn no_name_of_a_forbidden_address_is_reached() {
    let server = Server::start();
    let port = server.port;
    let public: IpAddr = "8.8.8.8".parse().expect("an address");
    let addresses: HashMap<String, Vec<IpAddr>> = ADDRESSES
        .iter()
        .enumerate()
        .flat_map(|(n, address)| {
            let address = address.parse().expect("an address");
            [
                (format!("alone-{n}.test"), vec![address]),
                (format!("first-{n}.test"), vec![address, public]),
                (format!("last-{n}.test"), vec![public, public, address]),
            ]
        })
        .collect();
    let names: Vec<String> = addresses.keys().cloned().collect();
    let origins: Vec<_> = names.iter().map(|name| allowed(&format!("http://{name}:{port}"), false)).collect();
    let network = network(move |name| Ok(addresses[name].clone()));
    let callable = caller("acme", &origins, OUTBOUND_LIMITS, &network);
    on_a_worker(async {
        let invoker = invoker();
        for name in &names {
            let came = fetch_one(&invoker, &callable, &json!({ "authority": format!("{name}:{port}") })).await;
            assert!(error(&came).contains("DestinationIpProhibited"), "{name}: {came}");
        }
    });
    assert_eq!(outcomes(&network, "acme"), [("forbidden-address", names.len() as u64)]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_is_nobodys_service_is_closed_to_private_origins_too() {
    let never: Vec<&str> = ADDRESSES.iter().copied().filter(|address| !PRIVATE.contains(address)).collect();
    let names: Vec<_> = (0..never.len()).map(|n| format!("n{n}.test")).collect();
    let answers: HashMap<String, IpAddr> =
        names.iter().cloned().zip(never.iter().map(|address| address.parse().expect("an address"))).collect();
    let origins: Vec<_> = names.iter().map(|name| allowed(&format!("http://{name}"), true)).collect();
    let network = network(move |name| Ok(vec![answers[name]]));
    let callable = caller("acme", &origins, OUTBOUND_LIMITS, &network);
    on_a_worker(async {
        let invoker = invoker();
        for (name, address) in names.iter().zip(never) {
            let came = fetch_one(&invoker, &callable, &json!({ "authority": name })).await;
            assert!(error(&came).contains("DestinationIpProhibited"), "{address}: {came}");
        }
    });
}

/// A name server that says one thing when it is asked for the check, and another when it is asked for the dial.
#[test]
fn what_was_checked_is_what_is_dialled() {
    let server = Server::start();
    let asked = Arc::new(AtomicUsize::new(0));
    let network = network({
        let asked = asked.clone();
        move |_| {
            let metadata = "169.254.169.254".parse().expect("an address");
            Ok(vec![if asked.fetch_add(1, SeqCst) == 0 { LOOPBACK } else { metadata }])
        }
    });
    let callable = caller_of(&server, &network);
    on_a_worker(async {
        let invoker = invoker();
        let came = fetch(&invoker, &callable, &with(wish(&server, "/closing"), json!({ "times": 2 }))).await;
        assert_eq!(body(&came[0]), "hello");
        assert_eq!(asked.load(SeqCst), 2, "once for each dial");
        assert!(error(&came[1]).contains("DestinationIpProhibited"), "{came:?}");
    });
    assert_eq!(server.connections(), 1);
}

/// The same for a name that is first private and then public, or the other way about, many times over.
#[test]
fn a_name_that_changes_is_looked_at_each_time() {
    let server = Server::start();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let network = network({
        let answers = answers.clone();
        move |_| Ok(answers.lock().expect("the answers").pop().expect("an answer"))
    });
    let callable = caller_of(&server, &network);
    let forbidden: IpAddr = "169.254.169.254".parse().expect("an address");
    on_a_worker(async {
        let invoker = invoker();
        for (answer, reached) in [
            (vec![LOOPBACK], true),
            (vec![forbidden], false),
            (vec![LOOPBACK, forbidden], false),
            (vec![LOOPBACK], true),
            (vec![forbidden, LOOPBACK], false),
        ] {
            answers.lock().expect("the answers").push(answer);
            let came = fetch_one(&invoker, &callable, &wish(&server, "/closing")).await;
            assert_eq!(came["status"] == 200, reached, "{came}");
        }
    });
    assert_eq!(server.connections(), 2);
}
