use super::*;

fn reach(address: &str) -> Reach {
    Reach::of(address.parse().expect(address))
}

#[test]
fn public_addresses_are_public() {
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00:1450::1",
        "3ffe::1",
        "3fff:1000::",
    ] {
        assert_eq!(reach(address), Public, "{address}");
    }
}

#[test]
fn private_addresses_are_the_operators() {
    for address in [
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "::1",
        "fc00::1",
        "fd12:3456::1",
        "64:ff9b::1.1.1.1",
        "64:ff9b::10.0.0.1",
    ] {
        assert!(matches!(reach(address), Private(_)), "{address}: {:?}", reach(address));
        let addresses = [address.parse().expect(address)];
        assert!(check(&addresses, true).is_ok());
        assert!(check(&addresses, false).expect_err(address).can_be_opened);
    }
}

#[test]
fn what_nobody_may_reach_stays_closed() {
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "100.100.100.200",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "192.0.0.192",
        "192.0.0.9",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1.1.1.1",
        "::127.0.0.1",
        "::ffff:1.1.1.1",
        "::ffff:127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::0.0.0.0",
        "64:ff9b:1::7f00:1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ] {
        assert!(matches!(reach(address), Never(_)), "{address}: {:?}", reach(address));
        let forbidden = check(&[address.parse().expect(address)], true).expect_err(address);
        assert!(!forbidden.can_be_opened, "{address}");
    }
}

#[test]
fn one_forbidden_address_forbids_them_all() {
    let [public, private] = ["1.1.1.1", "10.0.0.1"].map(|address| address.parse().expect(address));
    assert!(check(&[public, public], false).is_ok());
    let forbidden = check(&[public, private, public], false).expect_err("one is private");
    assert_eq!(forbidden.to_string(), "10.0.0.1 is a private address");
}
