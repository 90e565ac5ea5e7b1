//! The cases are those of Spin's own unit tests, and some that it has none for.

use super::*;

fn allowed(entries: &[&str]) -> AllowedHosts {
    let entries = entries.iter().map(|entry| entry.parse().unwrap());
    AllowedHosts::new(entries, &[])
}

#[test]
fn an_empty_list_denies_everything() {
    let none = AllowedHosts::default();
    assert!(!none.allows("http", "example.com", None));
    assert!(!none.allows_self());
}

#[test]
fn the_port_of_the_scheme_is_meant_where_none_is_written() {
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
fn hosts_ports_and_schemes_must_all_fit() {
    let hosts = allowed(&["*://spin.test:443", "http://example.test:8383"]);
    assert!(hosts.allows("https", "spin.test", None));
    assert!(hosts.allows("anything", "spin.test", Some(443)));
    assert!(hosts.allows("http", "example.test", Some(8383)));
    assert!(!hosts.allows("http", "example.test", None));
    assert!(!hosts.allows("https", "example.test", Some(8383)));
    assert!(!hosts.allows("http", "other.test", Some(8383)));
}

#[test]
fn any_port_and_any_host() {
    assert!(allowed(&["*://*:*"]).allows("redis", "1.2.3.4", Some(1)));
    let web = allowed(&["https://*"]);
    assert!(web.allows("https", "a.test", None));
    assert!(!web.allows("https", "a.test", Some(8443)));
}

#[test]
fn a_range_of_ports_ends_before_its_end() {
    let hosts = allowed(&["http://a.test:8000..8010"]);
    assert!(hosts.allows("http", "a.test", Some(8000)));
    assert!(hosts.allows("http", "a.test", Some(8009)));
    assert!(!hosts.allows("http", "a.test", Some(8010)));
}

#[test]
fn a_star_before_a_domain_is_any_name_under_it_but_not_itself() {
    let hosts = allowed(&["http://*.Example.COM", "http://*.example2.com:8383"]);
    assert!(hosts.allows("http", "a.example.com", None));
    assert!(hosts.allows("http", "A.B.example.com", None));
    assert!(hosts.allows("http", "a.example2.com", Some(8383)));
    assert!(!hosts.allows("http", "example.com", None));
    assert!(!hosts.allows("http", "myexample.com", None));
    assert!(!hosts.allows("http", "a.example2.com", None));
}

#[test]
fn networks_cover_addresses_and_no_names() {
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
fn the_strongest_entry_says_how_a_host_is_allowed() {
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
fn self_is_the_application_and_no_host() {
    for entry in ["http://self", "https://self.alt", "http://*", "*://*:*"] {
        assert!(allowed(&[entry]).allows_self(), "{entry}");
    }
    for entry in ["redis://self", "http://example.com"] {
        assert!(!allowed(&[entry]).allows_self(), "{entry}");
    }
    assert!(!allowed(&["http://self"]).allows("http", "self", None));
}

#[test]
fn a_star_before_spin_internal_is_the_components_that_run() {
    let components: [ComponentId; 2] = ["photo", "video"].map(|id| id.parse().unwrap());
    let entry = "http://*.spin.internal".parse().unwrap();
    let hosts = AllowedHosts::new([entry], &components);
    assert!(hosts.allows("http", "photo.spin.internal", None));
    assert!(!hosts.allows("http", "other.spin.internal", None));
    let named: AllowedHost = "http://photo.spin.internal".parse().unwrap();
    assert_eq!(named.component(), Some("photo"));
}

#[test]
fn a_component_is_one_label_before_spin_internal() {
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
fn entries_that_make_no_sense_are_refused() {
    for (entry, reason) in [
        ("", "form"),
        ("*", "form"),
        ("example.com", "form"),
        ("example.com:8080", "form"),
        ("[::1]:8080", "form"),
        ("insecure:allow-all", "form"),
        ("http2://example.com:80", "scheme"),
        ("HTTP://example.com:80", "scheme"),
        ("{http,https}://example.com:80", "scheme"),
        ("://example.com:80", "scheme"),
        ("*://example.com", "no port of its own"),
        ("tcp://127.0.0.0/24", "no port of its own"),
        ("http://example.com:notaport", "not a port"),
        ("http://example.com:99999", "not a port"),
        ("http://example.com:8080..70000", "not a port"),
        ("http://*.example.com:8080..", "not a port"),
        ("http://example.com:{80,443}", "not a port"),
        ("http://self:notaport", "not a port"),
        ("http://ff00::/8:99999", "not a port"),
        ("http://example.com:80..80", "empty"),
        ("http://example.com/p", "path"),
        ("http://example.com//", "path"),
        ("http://example.com:8080/p", "path"),
        ("http://*.example.com/p", "path"),
        ("http://127.0.0.0/24/p", "path"),
        ("http://self/p", "path"),
        ("http://{a,b}", "not a host"),
        ("http://*/", "`*`"),
        ("http://a.*.example.com", "`*`"),
        ("http://*.*.example.com", "`*`"),
        ("http://*example.com", "`*`"),
        ("http://*.127.0.0.1", "`*`"),
        ("http://*.[::1]", "`*`"),
        ("http://", "not a host"),
        ("http://*.", "not a host"),
        ("http://[::1", "not a host"),
        ("http://[::1]junk", "not a port"),
        ("http://exa[mple.com", "not a host"),
        ("http://example%GG.com", "not a host"),
        ("http://example.com:80:90", "not a host"),
        ("http://invalid host", "not a host"),
    ] {
        let error = entry.parse::<AllowedHost>().unwrap_err().to_string();
        assert!(error.contains(reason), "{entry}: {error}");
        assert!(error.contains(&format!("{entry:?}")), "{error}");
    }
}

#[test]
fn the_error_of_a_secret_value_does_not_show_it() {
    let error: HostError = "http://hunter2/path".parse::<AllowedHost>().unwrap_err();
    let shown = error
        .of_template("{{ password }}".to_owned(), true)
        .to_string();
    assert!(
        shown.contains("{{ password }}") && !shown.contains("hunter2"),
        "{shown}"
    );
}
