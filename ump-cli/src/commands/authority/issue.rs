//! Making certificates.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::files::Pair;
use crate::exit::Error;

fn failed(error: &rcgen::Error) -> Error {
    Error::usage(format!("cannot make a certificate: {error}"))
}

/// Makes the certificate of an authority, signed by itself.
pub(super) fn authority(name: &str, days: u16) -> Result<Pair, Error> {
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let mut params = params(name, Vec::new(), days)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
    Ok(pair(&certificate, &key))
}

/// Makes a certificate for these names.
pub(super) fn certificate(authority: &Pair, names: Vec<String>, days: u16) -> Result<Pair, Error> {
    let authority_key = KeyPair::from_pem(&authority.key).map_err(|error| failed(&error))?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, authority_key);
    let issuer = issuer.map_err(|error| failed(&error))?;
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let mut params = params(&names[0].clone(), names, days)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let certificate = params
        .signed_by(&key, &issuer)
        .map_err(|error| failed(&error))?;
    Ok(pair(&certificate, &key))
}

fn params(name: &str, names: Vec<String>, days: u16) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(names).map_err(|error| failed(&error))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    // Clocks differ.
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(days.into());
    Ok(params)
}

fn pair(certificate: &rcgen::Certificate, key: &KeyPair) -> Pair {
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}
