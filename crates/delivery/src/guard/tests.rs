use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn url(text: &str) -> WebhookUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn strict() -> Guard {
    Guard::new(GuardPolicy::default())
}

fn allowing(hosts: &[&str]) -> Guard {
    let allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    Guard::new(GuardPolicy { allowed_hosts, ..GuardPolicy::default() })
}

fn with_ports(ports: &[u16]) -> Guard {
    Guard::new(GuardPolicy { ports: ports.to_vec(), ..GuardPolicy::default() })
}

/// What a private network and this machine are made of.
const PRIVATE_V4: &[(&str, u32)] =
    &[("10.0.0.0", 8), ("100.64.0.0", 10), ("127.0.0.0", 8), ("172.16.0.0", 12), ("192.168.0.0", 16)];

/// The IPv4 blocks that must be refused, written out again and apart from the code under test.
const REFUSED_V4: &[(&str, u32)] = &[
    ("0.0.0.0", 8),
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("168.63.129.16", 32),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.0.0.0", 24),
    ("192.0.2.0", 24),
    ("192.88.99.0", 24),
    ("192.168.0.0", 16),
    ("198.18.0.0", 15),
    ("198.51.100.0", 24),
    ("203.0.113.0", 24),
    ("224.0.0.0", 4),
    ("240.0.0.0", 4),
];

/// Blocks that are global and refused all the same; left out of the sample of what must be allowed.
const REFUSED_THOUGH_GLOBAL: &[(&str, u32)] =
    &[("192.31.196.0", 24), ("192.52.193.0", 24), ("192.175.48.0", 24)];

fn block(text: &str, prefix: u32) -> std::ops::RangeInclusive<u32> {
    let base: Ipv4Addr = text.parse().unwrap();
    let first = base.to_bits();
    let size = 1u64 << (32 - prefix);
    first..=u32::try_from(u64::from(first) + size - 1).unwrap()
}

fn refused_v4() -> impl Strategy<Value = Ipv4Addr> {
    prop::sample::select(REFUSED_V4)
        .prop_flat_map(|(text, prefix)| block(text, prefix))
        .prop_map(Ipv4Addr::from_bits)
}

fn public_v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits).prop_filter("is special", |address| {
        let refused = |blocks: &[(&str, u32)]| {
            blocks.iter().any(|(text, prefix)| block(text, *prefix).contains(&address.to_bits()))
        };
        !refused(REFUSED_V4) && !refused(REFUSED_THOUGH_GLOBAL)
    })
}

/// Every way to write an IPv4 address as a URL's host.
fn spellings_in_a_url(address: Ipv4Addr) -> Vec<String> {
    let bits = address.to_bits();
    let [a, b, c, d] = address.octets();
    let fullwidth: String = address
        .to_string()
        .chars()
        .map(|c| char::from_u32(u32::from(c) - u32::from('!') + 0xff01).unwrap())
        .collect();
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{bits}"),
        format!("0x{bits:x}"),
        format!("0{bits:o}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0x{a:X}.0x{b:x}.{c}.{d}"),
        format!("{a}.{}", bits & 0x00ff_ffff),
        format!("{a}.{b}.{}", bits & 0xffff),
        format!("%3{}{}", &format!("{a}")[..1], &format!("{a}.{b}.{c}.{d}")[1..]),
        fullwidth,
    ]
    .into_iter()
    .chain(embeddings(address).into_iter().map(|inner| format!("[{inner}]")))
    .collect()
}

/// Every way to carry an IPv4 address in an IPv6 one.
fn embeddings(address: Ipv4Addr) -> Vec<Ipv6Addr> {
    let bits = u128::from(address.to_bits());
    let at_the_end = [
        "::",
        "::ffff:0:0",
        "::ffff:0:0:0",
        "::5efe:0:0",
        "fe80::5efe:0:0",
        "fe80::200:5efe:0:0",
        "64:ff9b::",
        "64:ff9b:1::",
        "2001::",
    ]
    .map(|prefix| Ipv6Addr::from_bits(prefix.parse::<Ipv6Addr>().unwrap().to_bits() | bits));
    let six_to_four = Ipv6Addr::from_bits((0x2002 << 112) | (bits << 80));
    at_the_end.into_iter().chain([six_to_four]).collect()
}

fn nat64(address: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits((0x0064_ff9b << 96) | u128::from(address.to_bits()))
}

/// The IPv4 address whose verdict an IPv6 address takes.
fn judged_as(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let inner = Ipv4Addr::from_bits(u32::try_from(address.to_bits() & u128::from(u32::MAX)).unwrap());
    [nat64(inner), inner.to_ipv6_mapped()].contains(&address).then_some(inner)
}

/// What kind of address the guard takes one for, where it refuses it.
fn kind_told(guard: &Guard, address: IpAddr) -> Option<&'static str> {
    match guard.check_addresses("hooks.example.com", &[address]) {
        Ok(_) => None,
        Err(GuardRefusal::ResolvesInside { kind, .. }) => Some(kind),
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn i11_a_special_ipv4_address_is_refused_in_every_spelling(address in refused_v4()) {
        for spelling in spellings_in_a_url(address) {
            let url = url(&format!("https://{spelling}/hook"));
            prop_assert!(strict().check_url(&url).is_err(), "{}", spelling);
        }
    }

    #[test]
    fn i11_a_name_that_resolves_to_a_special_ipv4_address_is_refused_in_every_embedding(address in refused_v4()) {
        let answers: Vec<IpAddr> =
            embeddings(address).into_iter().map(IpAddr::from).chain([IpAddr::from(address)]).collect();
        for answer in answers {
            prop_assert!(strict().check_addresses("hooks.example.com", &[answer]).is_err(), "{}", answer);
        }
    }

    #[test]
    fn i11_one_special_address_among_public_ones_refuses_them_all(
        special in refused_v4(),
        public in prop::collection::vec(public_v4(), 1..5),
        at in any::<prop::sample::Index>(),
    ) {
        let mut answers: Vec<IpAddr> = public.into_iter().map(IpAddr::from).collect();
        answers.insert(at.index(answers.len() + 1), special.into());
        prop_assert!(strict().check_addresses("hooks.example.com", &answers).is_err());
    }

    #[test]
    fn a_public_ipv4_address_is_allowed_as_it_is_mapped_and_behind_nat64(address in public_v4()) {
        prop_assert_eq!(strict().check_url(&url(&format!("https://{address}/hook"))), Ok(()));
        let answers = [IpAddr::from(address), address.to_ipv6_mapped().into(), nat64(address).into()];
        let vetted = strict().check_addresses("hooks.example.com", &answers).unwrap();
        prop_assert_eq!(vetted.into_iter().map(VettedAddress::ip).collect::<Vec<_>>(), answers);
    }

    #[test]
    fn a_public_ipv4_address_in_any_other_embedding_is_refused(address in public_v4()) {
        for inner in embeddings(address) {
            let reaches_it = inner == nat64(address) || inner == address.to_ipv6_mapped();
            prop_assert_eq!(strict().check_addresses("hooks.example.com", &[inner.into()]).is_ok(), reaches_it);
        }
    }

    #[test]
    fn i11_ipv6_outside_2000_3_is_refused(bits in any::<u128>()) {
        let address = Ipv6Addr::from_bits(bits);
        prop_assume!(bits >> 125 != 1 && judged_as(address).is_none());
        let verdict = strict().check_url(&url(&format!("https://[{address}]/hook")));
        prop_assert!(verdict.is_err());
    }

    #[test]
    fn i11_the_verdict_on_a_mapped_or_nat64_address_is_that_on_its_ipv4_address(bits in any::<u32>()) {
        let address = Ipv4Addr::from_bits(bits);
        let inner = kind_told(&strict(), address.into());
        prop_assert_eq!(kind_told(&strict(), address.to_ipv6_mapped().into()), inner);
        prop_assert_eq!(kind_told(&strict(), nat64(address).into()), inner);
    }

    #[test]
    fn i11_all_spellings_of_one_address_get_one_verdict(bits in any::<u32>(), private in any::<bool>()) {
        let address = Ipv4Addr::from_bits(bits);
        let guard = if private { strict().reaching_private() } else { strict() };
        let verdict = guard.check_url(&url(&format!("https://{address}/"))).is_ok();
        // The last ten are embeddings in IPv6, addresses of their own.
        let spellings = spellings_in_a_url(address);
        for spelling in &spellings[..spellings.len() - embeddings(address).len()] {
            prop_assert_eq!(guard.check_url(&url(&format!("https://{spelling}/"))).is_ok(), verdict, "{}", spelling);
        }
    }

    #[test]
    fn i11_all_spellings_of_one_ipv6_address_get_one_verdict(bits in any::<u128>()) {
        let address = Ipv6Addr::from_bits(bits);
        let long: Vec<String> = address.segments().iter().map(|segment| format!("{segment:04X}")).collect();
        let [.., high, low] = address.segments();
        let dotted = Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
        let verdict = strict().check_url(&url(&format!("https://[{address}]/")));
        for spelling in [long.join(":"), format!("{}:{dotted}", long[..6].join(":"))] {
            prop_assert_eq!(&strict().check_url(&url(&format!("https://[{spelling}]/"))), &verdict, "{}", spelling);
        }
    }

    #[test]
    fn a_destination_that_may_be_private_reaches_private_and_public_hosts_on_any_port(
        inside in prop::sample::select(PRIVATE_V4).prop_flat_map(|(text, prefix)| block(text, prefix)),
        outside in public_v4(),
        port in 1..=u16::MAX,
    ) {
        let guard = strict().reaching_private();
        let inside = Ipv4Addr::from_bits(inside);
        prop_assume!(inside != Ipv4Addr::new(100, 100, 100, 200));
        for address in [inside, outside] {
            prop_assert_eq!(guard.check_url(&url(&format!("http://{address}:{port}/"))), Ok(()));
            for answer in [address.into(), address.to_ipv6_mapped().into()] {
                prop_assert!(guard.check_addresses("nas", &[answer]).is_ok(), "{}", answer);
            }
        }
    }

    #[test]
    fn i11_a_destination_that_may_be_private_reaches_nothing_else(address in refused_v4()) {
        let private = PRIVATE_V4.iter().any(|(text, prefix)| block(text, *prefix).contains(&address.to_bits()));
        prop_assume!(!private || address == Ipv4Addr::new(100, 100, 100, 200));
        let guard = strict().reaching_private();
        for inner in embeddings(address).into_iter().map(IpAddr::from).chain([address.into()]) {
            prop_assert!(guard.check_addresses("nas", &[inner]).is_err(), "{}", inner);
        }
        let url = url(&format!("http://{address}/"));
        prop_assert!(guard.check_url(&url).is_err());
    }

    #[test]
    fn an_ordinary_public_ipv6_address_is_allowed(
        first in prop::sample::select(&[0x2400u16, 0x2600, 0x2606, 0x2607, 0x2800, 0x2a00, 0x2a01, 0x2c0f][..]),
        rest in any::<u128>(),
    ) {
        let address = Ipv6Addr::from_bits((u128::from(first) << 112) | (rest >> 16));
        prop_assert_eq!(strict().check_url(&url(&format!("https://[{address}]/hook"))), Ok(()));
    }

    #[test]
    fn i11_not_even_an_allowed_name_leads_to_a_link_local_address(low in any::<u16>()) {
        let address = Ipv4Addr::from_bits(0xa9fe_0000 | u32::from(low));
        let guard = allowing(&["metadata.example.com"]);
        for answer in [IpAddr::from(address), IpAddr::from(address.to_ipv6_mapped())] {
            let refusal = guard.check_addresses("metadata.example.com", &[answer]).unwrap_err();
            let is_metadata = matches!(refusal, GuardRefusal::ResolvesToMetadata { .. });
            prop_assert!(is_metadata);
        }
    }
}

#[test]
fn i11_the_special_ipv6_blocks_within_2000_3_are_refused() {
    for address in [
        "2001::1",
        "2001:2::1",
        "2001:3::1",
        "2001:4:112::1",
        "2001:10::1",
        "2001:20::1",
        "2001:30::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2002:c000:204::1",
        "2620:4f:8000::1",
        "3fff::1",
        "3fff:fff::1",
    ] {
        let refusal = strict().check_url(&url(&format!("https://[{address}]/"))).unwrap_err();
        assert!(matches!(refusal, GuardRefusal::Address { .. }), "{address}: {refusal}");
    }
    assert_eq!(strict().check_url(&url("https://[2001:200::1]/")), Ok(()));
    assert_eq!(strict().check_url(&url("https://[2001:4860:4860::8888]/")), Ok(()));
}

#[test]
fn the_dummy_prefix_of_rfc_9780_is_named() {
    let refusal = strict().check_url(&url("https://[100:0:0:1::5]/")).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "`100:0:0:1::5` is a dummy address, and a webhook goes to a public address"
    );
}

#[test]
fn https_is_needed_unless_the_exact_host_is_allowed() {
    let refusal = strict().check_url(&url("http://example.com/hook")).unwrap_err();
    assert_eq!(refusal, GuardRefusal::PlainHttp { host: "example.com".into() });
    assert_eq!(allowing(&["example.com"]).check_url(&url("http://example.com/hook")), Ok(()));
    assert!(allowing(&["example.com"]).check_url(&url("http://www.example.com/hook")).is_err());
    assert!(allowing(&["www.example.com"]).check_url(&url("http://example.com/hook")).is_err());
}

#[test]
fn i11_names_of_local_networks_are_refused() {
    for host in [
        "localhost",
        "LOCALHOST.",
        "api.localhost",
        "printer.local",
        "vault.internal",
        "nas.home.arpa",
        "home.arpa.",
    ] {
        let refusal = strict().check_url(&url(&format!("https://{host}/"))).unwrap_err();
        assert!(matches!(refusal, GuardRefusal::LocalDomain { .. }), "{host}: {refusal}");
    }
    for host in ["kubernetes", "router.", "metadata", "instance-data"] {
        let refusal = strict().check_url(&url(&format!("https://{host}/"))).unwrap_err();
        assert!(matches!(refusal, GuardRefusal::SingleLabel { .. }), "{host}: {refusal}");
    }
    for host in ["metadata.goog", "metadata.google.internal."] {
        let refusal = strict().check_url(&url(&format!("https://{host}/"))).unwrap_err();
        assert!(matches!(refusal, GuardRefusal::MetadataName { .. }), "{host}: {refusal}");
    }
    for host in ["notlocalhost.com", "local.example.com", "thelocal.se", "example.com."] {
        assert_eq!(strict().check_url(&url(&format!("https://{host}/"))), Ok(()), "{host}");
    }
}

#[test]
fn i11_only_the_ports_of_http_and_those_that_are_added_are_reached() {
    for port in [80, 443] {
        assert_eq!(strict().check_url(&url(&format!("https://example.com:{port}/"))), Ok(()));
    }
    for port in [0, 22, 25, 6379, 8443, 65_535] {
        let refusal = strict().check_url(&url(&format!("https://example.com:{port}/"))).unwrap_err();
        assert_eq!(refusal, GuardRefusal::Port { host: "example.com".to_owned(), port });
        assert!(refusal.hint().contains(&format!("add {port} to `delivery.ports`")), "{}", refusal.hint());
    }
    assert_eq!(with_ports(&[8443]).check_url(&url("https://example.com:8443/")), Ok(()));
    assert_eq!(with_ports(&[8443]).check_url(&url("https://example.com/")), Ok(()));
    assert_eq!(allowing(&["example.com"]).check_url(&url("https://example.com:25/")), Ok(()));
}

#[test]
fn i11_a_zone_is_no_part_of_a_webhooks_address() {
    for text in ["https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[::1%251]/"] {
        assert!(text.parse::<WebhookUrl>().is_err(), "{text}");
    }
}

#[test]
fn i11_a_destination_that_may_be_private_is_kept_from_metadata_services() {
    let guard = strict().reaching_private();
    for host in [
        "169.254.169.254",
        "0xa9fea9fe",
        "168.63.129.16",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[::ffff:169.254.170.2]",
        "[64:ff9b:1::169.254.169.254]",
        "metadata.google.internal",
        "metadata.goog.",
    ] {
        let refusal = guard.check_url(&url(&format!("http://{host}/"))).unwrap_err();
        assert!(
            matches!(refusal, GuardRefusal::Address { .. } | GuardRefusal::MetadataName { .. }),
            "{refusal}"
        );
    }
    for host in ["localhost", "nas", "printer.local", "vault.internal", "[::1]", "[fd12::1]"] {
        assert_eq!(guard.check_url(&url(&format!("http://{host}:8080/"))), Ok(()), "{host}");
        assert!(strict().check_url(&url(&format!("https://{host}/"))).is_err(), "{host}");
    }
}

#[test]
fn an_allowed_host_is_found_in_whatever_way_it_is_written() {
    for (allowed, asked) in [
        ("LocalHost", "http://localhost:8080/"),
        ("localhost.", "http://LOCALHOST/"),
        (" api.internal ", "https://api.internal./"),
        ("127.0.0.1", "http://0x7f.1:9000/"),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/"),
        ("::1", "http://[0:0::1]/"),
        ("[::1]", "http://[::1]/"),
        ("bücher.local", "https://xn--bcher-kva.local/"),
    ] {
        assert_eq!(allowing(&[allowed]).check_url(&url(asked)), Ok(()), "{allowed} {asked}");
    }
}

#[test]
fn an_allowed_name_may_resolve_inside_and_an_allowed_address_opens_no_name() {
    let private: IpAddr = "10.1.2.3".parse().unwrap();
    assert_eq!(
        allowing(&["api.internal"]).check_addresses("API.internal.", &[private]),
        Ok(vec![VettedAddress(private)])
    );
    assert!(allowing(&["10.1.2.3"]).check_addresses("evil.example.com", &[private]).is_err());
    assert_eq!(
        allowing(&["10.1.2.3"]).check_addresses("10.1.2.3", &[private]),
        Ok(vec![VettedAddress(private)])
    );
}

#[test]
fn a_metadata_address_is_reached_only_where_it_is_allowed_itself() {
    for address in ["169.254.169.254", "fd00:ec2::254"] {
        let ip: IpAddr = address.parse().unwrap();
        assert!(allowing(&["meta.example.com"]).check_addresses("meta.example.com", &[ip]).is_err());
        assert!(allowing(&["meta.example.com", address]).check_addresses("meta.example.com", &[ip]).is_ok());
        assert!(allowing(&[address]).check_addresses(address, &[ip]).is_ok());
    }
}

#[test]
fn i12_a_refusal_tells_the_user_how_to_allow_the_host_and_never_what_it_resolves_to() {
    let secret: IpAddr = "10.20.30.40".parse().unwrap();
    let refusal = strict().check_addresses("hooks.example.com", &[secret]).unwrap_err();
    assert!(!refusal.to_string().contains("10.20"), "{refusal}");
    assert!(!refusal.hint().contains("10.20"), "{}", refusal.hint());
    assert!(refusal.hint().contains("add `hooks.example.com` to `cron.webhookSsrfPolicy.allowedHostnames`"));
    assert_eq!(
        refusal.operator_detail().unwrap(),
        "`hooks.example.com` resolves to 10.20.30.40, which is a private address"
    );

    let link_local: IpAddr = "169.254.169.254".parse().unwrap();
    let refusal = allowing(&["a.b"]).check_addresses("a.b", &[link_local]).unwrap_err();
    assert!(!format!("{refusal} {}", refusal.hint()).contains("169.254"));
}

#[test]
fn a_host_without_addresses_is_not_the_guards_to_refuse() {
    assert_eq!(strict().check_addresses("hooks.example.com", &[]), Ok(vec![]));
}
