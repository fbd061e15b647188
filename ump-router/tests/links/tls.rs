//! Links over TLS, with real certificates.

mod output;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use ump_router::{
    Router,
    link::{
        session::Closed,
        sockets::{
            ConnectOptions, Link, LinkFailure, LinkSetupError, ListenOptions, Listener, Permission,
            Rules, TlsConfig, TlsError, Who,
        },
        wire::Failure,
    },
};

use crate::support::{Double, LONG, await_server, carrying, publish, serve};
use crate::support::{Price, await_subscriber, next};

struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
struct Issued {
    certificate: String,
    key: String,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn config(issued: &Issued, roots: &str) -> TlsConfig {
    let Issued { certificate, key } = issued;
    TlsConfig::from_pem(certificate.as_bytes(), key.as_bytes(), roots.as_bytes()).unwrap()
}

/// A hub on a TLS port of this machine, for the names `localhost` and `127.0.0.1`.
struct Hub {
    ca: Ca,
    router: Router,
    listener: Listener,
}

impl Hub {
    fn new(rules: Rules) -> Self {
        let ca = Ca::new("the CA of the hub");
        let own = ca.issue(&["localhost", "127.0.0.1"]);
        Self::with(ca, &own, rules)
    }

    fn with(ca: Ca, own: &Issued, rules: Rules) -> Self {
        let router = carrying();
        let options = ListenOptions::new()
            .rules(rules)
            .tls(config(own, &ca.pem()));
        let listener = router.listen_with("tls:localhost:0", options).unwrap();
        Self {
            ca,
            router,
            listener,
        }
    }

    fn raw(&self) -> String {
        let address = self.listener.address().to_string();
        address.strip_prefix("tls:").unwrap().to_owned()
    }

    /// Certificates of a process for these names, of the CA of the hub.
    fn certify(&self, names: &[&str]) -> TlsConfig {
        config(&self.ca.issue(names), &self.ca.pem())
    }

    fn connect(&self, leaf: &Router, config: TlsConfig) -> Link {
        let options = ConnectOptions::new().tls(config);
        leaf.connect_with(self.listener.address(), options).unwrap()
    }

    /// Connects a new router.
    fn leaf(&self, config: TlsConfig) -> (Router, Link) {
        let leaf = carrying();
        let link = self.connect(&leaf, config);
        (leaf, link)
    }

    /// Returns why TLS fails for a new router.
    fn tls_failure(&self, config: TlsConfig) -> String {
        let (_leaf, link) = self.leaf(config);
        tls_failure(&link)
    }
}

fn assert_opens(link: &Link) {
    let is_open = link.opened().timeout(LONG).wait();
    assert!(is_open, "{:?}", link.last_failure());
}

/// Waits until a link has failed, and returns why.
fn failure(link: &Link) -> LinkFailure {
    for _ in 0..3000 {
        if let Some(failure) = link.last_failure() {
            return failure;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the link did not fail");
}

fn tls_failure(link: &Link) -> String {
    match failure(link) {
        LinkFailure::Tls(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_link_over_tls_carries_requests_and_messages() {
    let hub = Hub::new(Rules::allow_by_default());
    let server = serve(&hub.router, "a");
    let (leaf, link) = hub.leaf(hub.certify(&["leaf.example"]));
    assert_opens(&link);
    await_server(&leaf, "a");
    for number in 1..100 {
        assert_eq!(
            leaf.request("a", Double(number)).wait().unwrap(),
            2 * number
        );
    }
    let mut prices = leaf.subscribe::<Price>("eth").unwrap();
    await_subscriber(&hub.router, "eth");
    for number in 0..2000 {
        publish(&hub.router, "eth", number);
        if number % 100 == 99 {
            for expected in number - 99..=number {
                assert_eq!(next(&mut prices).unwrap(), expected);
            }
        }
    }
    hub.router.close();
    server.join().unwrap();
}

#[cfg(feature = "compression")]
#[test]
fn a_link_over_tls_can_be_compressed() {
    let ca = Ca::new("a CA");
    let certified = |name| config(&ca.issue(&[name]), &ca.pem());
    let hub = crate::compression::carrying_texts();
    let options = ListenOptions::new()
        .tls(certified("localhost"))
        .compression();
    let listener = hub.listen_with("tls:localhost:0", options).unwrap();
    let leaf = crate::compression::carrying_texts();
    let options = ConnectOptions::new().tls(certified("leaf")).compression();
    let link = leaf.connect_with(listener.address(), options).unwrap();
    assert_opens(&link);
    crate::compression::exchange(&leaf, &hub);
}

#[test]
fn long_messages_cross_records_of_tls() {
    let hub = Hub::new(Rules::allow_by_default());
    hub.router.carry_requests::<Text>().unwrap();
    let server = hub.router.serve::<Text>("a").unwrap();
    let thread = std::thread::spawn(move || {
        for (call, rctx) in &server {
            let text = call.message.0.clone();
            let _ = rctx.reply(text);
        }
    });
    let leaf = crate::support::router();
    leaf.carry_requests::<Text>().unwrap();
    let _link = hub.connect(&leaf, hub.certify(&["leaf"]));
    let first = leaf.request("a", Text(String::new())).wait_for_server();
    assert_eq!(first.timeout(LONG).wait().unwrap(), "");
    for length in [1, 16_383, 16_384, 16_385, 100_000, 900_000] {
        let text = "x".repeat(length);
        let reply = leaf.request("a", Text(text.clone())).timeout(LONG).wait();
        assert!(reply.unwrap() == text, "{length}");
    }
    hub.router.close();
    thread.join().unwrap();
}

#[derive(serde::Serialize, serde::Deserialize, Debug)]
struct Text(String);

impl ump_router::RequestMessage for Text {
    type Reply = String;
    type Error = ();
    const PREFIX: &str = "text";
}

#[test]
fn rules_know_peers_by_the_names_of_their_certificates() {
    let rules = Rules::deny_by_default()
        .allow(
            Who::TlsName("good.example".to_owned()),
            Permission::ALL,
            "**".parse().unwrap(),
        )
        .allow(
            Who::TlsName("urn:meter:7".to_owned()),
            [Permission::Subscribe],
            "**".parse().unwrap(),
        );
    let hub = Hub::new(rules);
    let server = serve(&hub.router, "a");
    let (good, _link) = hub.leaf(hub.certify(&["other.example", "good.example"]));
    await_server(&good, "a");
    assert_eq!(good.request("a", Double(1)).wait().unwrap(), 2);

    let issued = hub.ca.issue_with(&[], |params| {
        let name = "urn:meter:7".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(name));
    });
    let (meter, _meter_link) = hub.leaf(config(&issued, &hub.ca.pem()));
    await_server(&meter, "a");
    let error = meter.request("a", Double(1)).wait().unwrap_err();
    let denied = error.link().unwrap();
    assert_eq!(denied.failure, Failure::Denied);
    assert!(denied.text.contains("urn:meter:7"), "{}", denied.text);

    let (_bad, link) = hub.leaf(hub.certify(&["bad.example"]));
    let failure = failure(&link);
    assert!(failure.is_denied(), "{failure:?}");
    assert!(failure.to_string().contains("bad.example"), "{failure}");
    hub.router.close();
    server.join().unwrap();
}

#[test]
fn a_server_of_another_ca_is_refused() {
    let hub = Hub::new(Rules::allow_by_default());
    let other = Ca::new("another CA");
    let text = hub.tls_failure(config(&hub.ca.issue(&["leaf"]), &other.pem()));
    assert!(text.contains("UnknownIssuer"), "{text}");
}

#[test]
fn a_client_of_another_ca_is_refused() {
    let hub = Hub::new(Rules::allow_by_default());
    let other = Ca::new("another CA");
    let (_leaf, link) = hub.leaf(config(&other.issue(&["leaf"]), &hub.ca.pem()));
    let text = tls_failure(&link);
    assert!(text.contains("alert"), "{text}");
    assert!(!link.opened().timeout(Duration::from_millis(100)).wait());
}

fn expired(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
}

#[test]
fn an_expired_server_is_refused() {
    let ca = Ca::new("the CA of the hub");
    let own = ca.issue_with(&["localhost"], expired);
    let hub = Hub::with(ca, &own, Rules::allow_by_default());
    let text = hub.tls_failure(hub.certify(&["leaf"]));
    assert!(text.to_lowercase().contains("expired"), "{text}");
}

#[test]
fn an_expired_client_is_refused() {
    let hub = Hub::new(Rules::allow_by_default());
    let issued = hub.ca.issue_with(&["leaf"], expired);
    let text = hub.tls_failure(config(&issued, &hub.ca.pem()));
    assert!(text.to_lowercase().contains("expired"), "{text}");
}

#[test]
fn a_server_of_another_name_is_refused() {
    let ca = Ca::new("the CA of the hub");
    let own = ca.issue(&["elsewhere.example"]);
    let hub = Hub::with(ca, &own, Rules::allow_by_default());
    let own = hub.certify(&["leaf"]);
    let text = hub.tls_failure(own.clone());
    assert!(text.contains("not valid for name"), "{text}");
    // Unless this name is the one that is meant.
    let own = own.server_name("elsewhere.example").unwrap();
    let (_leaf, link) = hub.leaf(own);
    assert_opens(&link);
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let hub = Hub::new(Rules::allow_by_default());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(hub.ca.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = TcpStream::connect(hub.raw()).unwrap();
    tcp.set_read_timeout(Some(LONG)).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
}

#[test]
fn plain_text_to_a_tls_port_is_no_link() {
    let hub = Hub::new(Rules::allow_by_default());
    let leaf = carrying();
    let plain = leaf.connect(format!("tcp:{}", hub.raw())).unwrap();
    let failure = failure(&plain);
    assert!(
        matches!(
            failure,
            LinkFailure::Ended(Closed::Wire(_) | Closed::Violation(_) | Closed::Lost)
        ),
        "{failure:?}"
    );
    assert!(!plain.opened().timeout(Duration::from_millis(100)).wait());
    let mut garbled = TcpStream::connect(hub.raw()).unwrap();
    garbled.write_all(&[0; 100]).unwrap();
    let _silent = TcpStream::connect(hub.raw()).unwrap();
    assert_opens(&hub.connect(&leaf, hub.certify(&["leaf"])));
}

#[test]
fn tls_to_a_plain_port_is_no_link() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string().replace("tcp:", "tls:");
    let ca = Ca::new("a CA");
    let leaf = carrying();
    let options = ConnectOptions::new().tls(config(&ca.issue(&["leaf"]), &ca.pem()));
    let link = leaf.connect_with(&address, options).unwrap();
    let text = tls_failure(&link);
    assert!(text.contains("does not speak TLS"), "{text}");
}

#[test]
fn setup_errors_say_what_is_wrong() {
    let ca = Ca::new("a CA");
    let (one, two) = (ca.issue(&["one"]), ca.issue(&["two"]));
    let from = |certificate: &str, key: &str, roots: &str| {
        TlsConfig::from_pem(certificate.as_bytes(), key.as_bytes(), roots.as_bytes()).unwrap_err()
    };
    let error = from("", &one.key, &ca.pem());
    assert!(matches!(error, TlsError::Certificates(_)), "{error}");
    let error = from(&one.certificate, "", &ca.pem());
    assert!(matches!(error, TlsError::Key(_)), "{error}");
    let error = from(&one.certificate, &two.key, &ca.pem());
    assert!(matches!(error, TlsError::Key(_)), "{error}");
    let error = from(&one.certificate, &one.key, "nothing");
    assert!(matches!(error, TlsError::Roots(_)), "{error}");
    let missing = std::env::temp_dir().join("ump-no-such-file.pem");
    let error = TlsConfig::from_files(&missing, &missing, &missing).unwrap_err();
    assert!(
        matches!(error, TlsError::File { ref path, .. } if *path == missing),
        "{error}"
    );
    let error = config(&one, &ca.pem()).server_name("a b").unwrap_err();
    assert_eq!(error, TlsError::ServerName("a b".to_owned()));

    let router = crate::support::router();
    let error = router.listen("tls:localhost:0").unwrap_err();
    assert!(
        matches!(error, LinkSetupError::NoCertificates(_)),
        "{error}"
    );
    let error = router.connect("tls:localhost:1").unwrap_err();
    assert!(
        matches!(error, LinkSetupError::NoCertificates(_)),
        "{error}"
    );
}
