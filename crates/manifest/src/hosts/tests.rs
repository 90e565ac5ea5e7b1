//! The cases of Spin's own unit tests, and some more.

use super::*;

fn allowed(entries: &[&str]) -> AllowedHosts {
    let entries = entries.iter().map(|entry| entry.parse().unwrap());
    AllowedHosts::new(entries, &[])
}

#[test]
fn an_empty_list_denies_every_host() {
    let none = AllowedHosts::default();
    assert!(!none.allows("http", "example.com", None));
    assert!(!none.allows_self());
}

#[test]
fn the_default_port_is_that_of_the_scheme() {
    let hosts = allowed(&[
        "http://a.test",
        "https://a.test/",
        "postgres://a.test",
        "http://b.test:",
    ]);
    assert!(hosts.allows("http", "a.test", None));
    assert!(hosts.allows("http", "a.test", Some(80)));
    assert!(hosts.allows("https", "a.test", Some(443)));
    assert!(hosts.allows("postgres", "a.test", Some(5432)));
    assert!(hosts.allows("http", "b.test", None));
    assert!(!hosts.allows("http", "a.test", Some(8080)));
    assert!(!hosts.allows("mysql", "a.test", None));
}

#[test]
fn scheme_host_and_port_must_all_match() {
    let hosts = allowed(&["*://spin.test:443", "http://example.test:8383"]);
    assert!(hosts.allows("https", "spin.test", None));
    assert!(hosts.allows("anything", "spin.test", Some(443)));
    assert!(hosts.allows("http", "example.test", Some(8383)));
    assert!(!hosts.allows("http", "example.test", None));
    assert!(!hosts.allows("https", "example.test", Some(8383)));
    assert!(!hosts.allows("http", "other.test", Some(8383)));
}

#[test]
fn a_star_matches_any_port_or_host() {
    assert!(allowed(&["*://*:*"]).allows("redis", "1.2.3.4", Some(1)));
    let web = allowed(&["https://*"]);
    assert!(web.allows("https", "a.test", None));
    assert!(!web.allows("https", "a.test", Some(8443)));
}

#[test]
fn a_port_range_excludes_its_end() {
    let hosts = allowed(&["http://a.test:8000..8010"]);
    assert!(hosts.allows("http", "a.test", Some(8000)));
    assert!(hosts.allows("http", "a.test", Some(8009)));
    assert!(!hosts.allows("http", "a.test", Some(8010)));
}

#[test]
fn a_star_before_a_domain_matches_subdomains_only() {
    let hosts = allowed(&["http://*.Example.COM", "http://*.example2.com:8383"]);
    assert!(hosts.allows("http", "a.example.com", None));
    assert!(hosts.allows("http", "A.B.example.com", None));
    assert!(hosts.allows("http", "a.example2.com", Some(8383)));
    assert!(!hosts.allows("http", "example.com", None));
    assert!(!hosts.allows("http", "myexample.com", None));
    assert!(!hosts.allows("http", "a.example2.com", None));
}

#[test]
fn networks_match_addresses_but_not_names() {
    let hosts = allowed(&["*://127.0.0.1/24:63551", "http://2001:db8::/32"]);
    assert!(hosts.allows("tcp", "127.0.0.200", Some(63551)));
    assert!(hosts.allows("http", "[2001:db8:abcd::1]", None));
    assert!(!hosts.allows("http", "[2001:db9::1]", None));
    assert!(!hosts.allows("tcp", "localhost", Some(63551)));
}

#[test]
fn addresses_are_compared_as_addresses() {
    let hosts = allowed(&[
        "http://127.0.0.1",
        "http://[::1]",
        "http://[2001:db8::1]:443",
    ]);
    assert!(hosts.allows("http", "127.0.0.1", None));
    assert!(hosts.allows("http", "0x7f.1", None));
    assert!(hosts.allows("http", "[0:0:0:0:0:0:0:1]", None));
    assert!(hosts.allows("http", "[2001:db8::1]", Some(443)));
    assert!(!hosts.allows("http", "[::1]", Some(81)));
    assert!(!hosts.allows("http", "[::2]", None));
}

#[test]
fn the_strongest_grant_is_returned() {
    let hosts = allowed(&["http://*", "http://10.0.0.0/8", "http://10.0.0.1"]);
    assert_eq!(hosts.grant("http", "10.0.0.1", None), Some(Grant::Named));
    assert_eq!(hosts.grant("http", "10.0.0.2", None), Some(Grant::Network));
    assert_eq!(
        hosts.grant("http", "192.168.0.1", None),
        Some(Grant::Wildcard)
    );
    assert_eq!(hosts.grant("https", "10.0.0.1", None), None);
}

#[test]
fn self_is_the_own_application_and_not_a_host_name() {
    for entry in ["http://self", "https://self.alt", "http://*", "*://*:*"] {
        assert!(allowed(&[entry]).allows_self(), "{entry}");
    }
    for entry in ["redis://self", "http://example.com"] {
        assert!(!allowed(&[entry]).allows_self(), "{entry}");
    }
    assert!(!allowed(&["http://self"]).allows("http", "self", None));
}

#[test]
fn a_star_before_spin_internal_matches_running_components() {
    let components: [ComponentId; 2] = ["photo", "video"].map(|id| id.parse().unwrap());
    let entry = "http://*.spin.internal".parse().unwrap();
    let hosts = AllowedHosts::new([entry], &components);
    assert!(hosts.allows("http", "photo.spin.internal", None));
    assert!(!hosts.allows("http", "other.spin.internal", None));
    let named: AllowedHost = "http://photo.spin.internal".parse().unwrap();
    assert_eq!(named.component(), Some("photo"));
}

#[test]
fn a_component_id_is_one_label_before_spin_internal() {
    assert_eq!(chained_component("photo.spin.internal"), Some("photo"));
    assert_eq!(chained_component("photo.spin.internal:80"), Some("photo"));
    for other in [
        "spin.internal",
        ".spin.internal",
        "a.b.spin.internal",
        "a.spin.internal.test",
    ] {
        assert_eq!(chained_component(other), None, "{other}");
    }
}

#[test]
fn invalid_entries_are_errors() {
    for (entry, reason) in [
        ("", "expected scheme://host[:port]"),
        ("*", "expected scheme://host[:port]"),
        ("example.com", "expected scheme://host[:port]"),
        ("example.com:8080", "expected scheme://host[:port]"),
        ("[::1]:8080", "expected scheme://host[:port]"),
        ("insecure:allow-all", "expected scheme://host[:port]"),
        ("http2://example.com:80", "invalid scheme"),
        ("HTTP://example.com:80", "invalid scheme"),
        ("{http,https}://example.com:80", "invalid scheme"),
        ("://example.com:80", "invalid scheme"),
        ("*://example.com", "no default port"),
        ("tcp://127.0.0.0/24", "no default port"),
        ("http://example.com:notaport", "invalid port"),
        ("http://example.com:99999", "invalid port"),
        ("http://example.com:8080..70000", "invalid port"),
        ("http://*.example.com:8080..", "invalid port"),
        ("http://example.com:{80,443}", "invalid port"),
        ("http://self:notaport", "invalid port"),
        ("http://ff00::/8:99999", "invalid port"),
        ("http://example.com:80..80", "is empty"),
        ("http://example.com/p", "no path"),
        ("http://example.com//", "no path"),
        ("http://example.com:8080/p", "no path"),
        ("http://*.example.com/p", "no path"),
        ("http://127.0.0.0/24/p", "no path"),
        ("http://self/p", "no path"),
        ("http://{a,b}", "invalid host name"),
        ("http://*/", "a `*` must be"),
        ("http://a.*.example.com", "a `*` must be"),
        ("http://*.*.example.com", "a `*` must be"),
        ("http://*example.com", "a `*` must be"),
        ("http://*.127.0.0.1", "a `*` must be"),
        ("http://*.[::1]", "invalid port"),
        ("http://", "invalid host name"),
        ("http://*.", "invalid host name"),
        ("http://[::1", "invalid host name"),
        ("http://[::1]junk", "invalid port"),
        ("http://exa[mple.com", "invalid host name"),
        ("http://example%GG.com", "invalid host name"),
        ("http://example.com:80:90", "invalid host name"),
        ("http://invalid host", "invalid host name"),
    ] {
        let error = entry.parse::<AllowedHost>().unwrap_err().to_string();
        assert!(error.contains(reason), "{entry}: {error}");
        assert!(error.contains(&format!("{entry:?}")), "{error}");
    }
}

#[test]
fn the_error_of_a_secret_value_hides_it() {
    let error: HostError = "http://hunter2/path".parse::<AllowedHost>().unwrap_err();
    let shown = error
        .for_template("{{ password }}".to_owned(), true)
        .to_string();
    assert!(
        shown.contains("{{ password }}") && !shown.contains("hunter2"),
        "{shown}"
    );
}
