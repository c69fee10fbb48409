//! TLS as a client. This is the only process of the product that speaks it.

use std::io::{self, BufReader};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

/// Where systems keep the certificates that they trust.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// One that trusts what this host trusts, or everybody.
pub(crate) fn connector(verify: bool) -> io::Result<TlsConnector> {
    static ANYBODY: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    static TRUSTED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let memory = if verify { &TRUSTED } else { &ANYBODY };
    if let Some(known) = memory.get() {
        return Ok(TlsConnector::from(Arc::clone(known)));
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = if verify {
        builder
            .with_root_certificates(roots()?)
            .with_no_client_auth()
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth()
    };
    let config = memory.get_or_init(|| Arc::new(config));
    Ok(TlsConnector::from(Arc::clone(config)))
}

fn roots() -> io::Result<RootCertStore> {
    let said = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let bundles = BUNDLES.into_iter().map(std::path::PathBuf::from);
    let file = said
        .into_iter()
        .chain(bundles)
        .find_map(|path| std::fs::File::open(path).ok());
    let file = file.ok_or_else(|| {
        io::Error::other(
            "this host has no certificates that it trusts, such as ca-certificates has",
        )
    })?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_reader_iter(BufReader::new(file));
    roots.add_parsable_certificates(certificates.flatten());
    Ok(roots)
}

/// Believes everybody who speaks with a key of their own.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
