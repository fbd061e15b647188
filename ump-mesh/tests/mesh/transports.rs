//! Other transports than TCP, on the loopback interface.

use std::{fs, path::Path, thread, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use ump_mesh::{Config, Tls, Transport};

use crate::support::{
    Double, LONG, Member, Price, await_participants, await_server, await_subscriber, config,
    domain, next, publish, serve,
};

/// An authority, and the files of those that it certifies.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    /// Certifies a participant.
    fn certify(&self, name: &str) -> Tls {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let write = |suffix: &str, text: String| {
            let path = self.folder.path().join(format!("{name}.{suffix}"));
            fs::write(&path, text).unwrap();
            path
        };
        Tls {
            authority: self.authority(),
            certificate: write("pem", certificate.pem()),
            key: write("key", key.serialize_pem()),
        }
    }

    fn authority(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }
}

/// Messages and requests go between two participants.
fn assert_they_work(configs: [Config; 2]) {
    let [one, two] = configs.map(Member::join);
    for member in [&one, &two] {
        await_participants(member, 1);
    }
    let mut prices = two.router.subscribe::<Price>("a").unwrap();
    await_subscriber(&one.router, "a");
    assert!(two.mesh.settled(LONG).wait());
    for number in 0..100 {
        publish(&one.router, "a", number);
        assert_eq!(next(&mut prices), Ok(number));
    }
    let serving = serve(&two.router, "a");
    await_server(&one.router, "a");
    assert_eq!(one.router.request("a", Double(4)).wait().unwrap(), 8);
    two.router.close();
    assert_eq!(serving.join().unwrap(), 1);
}

#[test]
fn participants_meet_over_udp() {
    let domain = domain();
    assert_they_work([(); 2].map(|()| config(&domain).transports([Transport::Udp])));
}

#[test]
fn participants_with_certificates_meet_over_tls_and_quic() {
    let authority = Authority::new();
    let tls = ["one", "two"].map(|name| authority.certify(name));
    let domain = domain();
    assert_they_work(tls.clone().map(|tls| config(&domain).tls(tls)));
    let domain = crate::support::domain();
    let quic = |tls| config(&domain).tls(tls).transports([Transport::Quic]);
    assert_they_work(tls.map(quic));
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    for transport in [Transport::Tls, Transport::Quic] {
        let domain = domain();
        let join = |tls| Member::join(config(&domain).tls(tls).transports([transport]));
        let one = join(authority.certify("one"));
        // It believes this authority, and has a certificate of its own one.
        let stranger = Tls {
            authority: authority.authority(),
            ..foreign.certify("stranger")
        };
        let stranger = join(stranger);
        let deceived = join(foreign.certify("deceived"));
        let two = join(authority.certify("two"));
        await_participants(&one, 1);
        await_participants(&two, 1);
        // What would have come has had time to.
        thread::sleep(Duration::from_millis(500));
        assert_eq!(one.mesh.participants()[0].id, two.mesh.id());
        assert!(stranger.mesh.participants().is_empty());
        assert!(deceived.mesh.participants().is_empty());
        assert_eq!(two.mesh.participants().len(), 1);
    }
}

#[test]
fn certificates_that_are_not_there_are_an_error() {
    let nowhere = Path::new("/no/such/file").to_owned();
    let tls = Tls {
        authority: nowhere.clone(),
        certificate: nowhere.clone(),
        key: nowhere,
    };
    let router = crate::support::carrying();
    let joined = ump_mesh::Mesh::join(&router, config(&domain()).tls(tls)).wait();
    assert!(
        matches!(joined, Err(ump_mesh::MeshError::Open(_))),
        "{joined:?}"
    );
}
