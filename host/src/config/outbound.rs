//! `outbound` of a tenant: the origins that its handlers may call.

use std::path::Path;
use std::sync::Arc;

use callgate_core::address;
use callgate_core::origin::{Host, NoOrigin, Origin, Scheme};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::fault::{Code, Located, Place};
use super::reader::{Section, Text};

const KEY: &str = "outbound";
const EXAMPLE: &str = "https://api.example.com";

/// An origin that handlers may call.
#[derive(Clone, Debug)]
pub struct AllowedOrigin {
    /// The origin.
    pub origin: Origin,
    /// Whether it may be reached at private addresses.
    pub private: bool,
    /// The certificate authorities that are trusted for it; `None` are the system's.
    pub authorities: Option<Arc<RootCertStore>>,
}

impl PartialEq for AllowedOrigin {
    fn eq(&self, other: &Self) -> bool {
        let roots = |allowed: &'_ Self| allowed.authorities.as_ref().map(|authorities| authorities.roots.clone());
        self.origin == other.origin && self.private == other.private && roots(self) == roots(other)
    }
}

impl Eq for AllowedOrigin {}

/// Reads the list; paths start at `folder`.
pub(crate) fn read(section: &mut Section<'_>, folder: &Path) -> Vec<AllowedOrigin> {
    let written = section.texts_and_tables(
        KEY,
        EXAMPLE,
        |section, text| {
            let origin = origin(section, KEY, text)?;
            let allowed = AllowedOrigin { origin: origin.value, private: false, authorities: None };
            check_address(section, KEY, &allowed, &origin.place).then_some(allowed)
        },
        |table| read_table(table, folder),
    );
    let mut allowed: Vec<AllowedOrigin> = Vec::new();
    for Located { value, place } in written {
        if allowed.iter().any(|other| other.origin == value.origin) {
            let message = format!("`{}` has {} twice", section.path(KEY), value.origin);
            section.report(&place, Code::InvalidOrigin, message, "leave one of them");
            continue;
        }
        allowed.push(value);
    }
    allowed
}

fn read_table(table: &mut Section<'_>, folder: &Path) -> Option<AllowedOrigin> {
    let place = table.place().clone();
    let text = table.text("origin", EXAMPLE);
    let private = table.boolean("private").unwrap_or(false);
    let ca_file = table.text("ca_file", "internal-ca.pem");
    let Some(text) = text else {
        let message = format!("`{}` is missing", table.path("origin"));
        table.report(&place, Code::MissingKey, message, format!("name the origin, for instance \"{EXAMPLE}\""));
        return None;
    };
    let Located { value: origin, place } = origin(table, "origin", text)?;
    if let Some(ca_file) = ca_file.as_ref().filter(|_| origin.scheme == Scheme::Http) {
        let message = format!("`{}` stands at an origin without TLS", table.path("ca_file"));
        table.report(&ca_file.place, Code::InvalidOrigin, message, "remove it, or write the origin with https");
    }
    let authorities = ca_file.and_then(|ca_file| read_authorities(table, ca_file, folder));
    let allowed = AllowedOrigin { origin, private, authorities };
    check_address(table, "origin", &allowed, &place).then_some(allowed)
}

fn origin(section: &Section<'_>, key: &str, text: Located<Text>) -> Option<Located<Origin>> {
    let Located { value: Text { value, shown }, place } = text;
    match Origin::parse(&value) {
        Ok(origin) => Some(Located { value: origin, place }),
        Err(NoOrigin { reason, instead }) => {
            // What stands before an `@` may be a password.
            let shown = if shown.contains('@') { "it".to_owned() } else { format!("\"{}\"", shown.escape_debug()) };
            let message = format!("`{}`: {shown} {reason}", section.path(key));
            section.report(&place, Code::InvalidOrigin, message, instead);
            None
        }
    }
}

/// An address can be judged right away; a name only once it is resolved.
fn check_address(section: &Section<'_>, key: &str, allowed: &AllowedOrigin, place: &Place) -> bool {
    let Host::Address(address) = allowed.origin.host else { return true };
    let Err(forbidden) = address::check(&[address], allowed.private) else { return true };
    let hint = match forbidden.can_be_opened {
        true => format!("write {{ origin = \"{}\", private = true }} if handlers are to reach it", allowed.origin),
        false => "remove it: no handler may reach such an address".to_owned(),
    };
    section.report(place, Code::InvalidOrigin, format!("`{}`: {forbidden}", section.path(key)), hint);
    false
}

fn read_authorities(section: &Section<'_>, file: Located<Text>, folder: &Path) -> Option<Arc<RootCertStore>> {
    let Located { value: Text { value, shown }, place } = file;
    let fault = |code, what: String| {
        section.report(
            &place,
            code,
            format!("`{}`: {shown} {what}", section.path("ca_file")),
            "name a file with certificates in PEM",
        );
    };
    let pem = std::fs::read(folder.join(value))
        .map_err(|error| fault(Code::FileNotRead, format!("cannot be read: {error}")))
        .ok()?;
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| authorities.add(certificate).map_err(|error| error.to_string()));
        if let Err(error) = added {
            fault(Code::InvalidValue, format!("has a certificate that cannot be used: {error}"));
            return None;
        }
    }
    if authorities.is_empty() {
        fault(Code::InvalidValue, "has no certificate".to_owned());
        return None;
    }
    Some(Arc::new(authorities))
}
