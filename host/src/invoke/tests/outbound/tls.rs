//! HTTPS: whom a certificate proves, and by whose word.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};

use super::*;

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    /// A server that this authority says has that name.
    fn server(&self, name: &str) -> Server {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("parameters");
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.0).expect("a certificate").into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("a key that fits");
        Server::with_tls(config)
    }

    fn trusted(&self) -> Option<Arc<RootCertStore>> {
        let mut authorities = RootCertStore::empty();
        authorities.add(self.0.der().clone()).expect("a certificate");
        Some(Arc::new(authorities))
    }
}

/// What comes of a request to this server under this name by one who trusts these.
fn ask(server: &Server, host: &str, authorities: Option<Arc<RootCertStore>>) -> Value {
    let network = local_network();
    let mut origin = allowed(&format!("https://{host}:{}", server.port), true);
    origin.authorities = authorities;
    let callable = caller("acme", &[origin], OUTBOUND_LIMITS, &network);
    let wish = json!({ "scheme": "https", "authority": format!("{host}:{}", server.port), "path": "/hello" });
    on_a_worker(async { fetch_one(&invoker(), &callable, &wish).await })
}

#[test]
fn a_server_is_trusted_by_its_own_authority() {
    let authority = Authority::new();
    for host in ["api.test", "127.0.0.1"] {
        let came = ask(&authority.server(host), host, authority.trusted());
        assert_eq!(body(&came), "hello");
    }
}

#[test]
fn one_that_is_not_trusted_hears_nothing() {
    let authority = Authority::new();
    let server = authority.server("api.test");
    let wrong = [
        ("the system does not know its authority", "api.test", None),
        ("another authority is trusted", "api.test", Authority::new().trusted()),
        ("it has another name", "other.test", authority.trusted()),
        ("its name is no address", "127.0.0.1", authority.trusted()),
    ];
    for (why, host, authorities) in wrong {
        let came = ask(&server, host, authorities);
        assert!(error(&came).contains("TlsCertificateError"), "{why}: {came}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn one_that_does_not_speak_tls_is_an_error() {
    let came = ask(&Server::start(), "api.test", Authority::new().trusted());
    // The plain server waits for a whole head that never comes, or answers what is no TLS.
    assert!(error(&came).contains("Tls") || error(&came).contains("ConnectionTimeout"), "{came}");
}
