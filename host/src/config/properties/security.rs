//! Security settings that contradict each other or miss a part: found before the first connection, not after.

use super::{Properties, Secret};
use crate::config::fault::{Code, Fault, Located, Place};

/// The mechanisms of this build that need a user and a password.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Checks the properties that one client will have, all together. Each of them is one that the client takes. `section`
/// is where they are written.
pub(crate) fn check_security(properties: &Properties, section: &Place) -> Vec<Fault> {
    let protocol = upper(properties.get("security.protocol")).unwrap_or_else(|| "PLAINTEXT".to_owned());
    let (sasl, tls) = (protocol.starts_with("SASL"), protocol.ends_with("SSL"));
    let mut faults = Vec::new();
    if sasl {
        faults.extend(check_sasl(properties, section));
    } else {
        let hint = if tls {
            "set `security.protocol` to SASL_SSL"
        } else {
            "set `security.protocol` to SASL_SSL, or SASL_PLAINTEXT"
        };
        faults.extend(without_effect(properties, &["sasl."], &protocol, hint));
    }
    if tls {
        faults.extend(check_tls(properties));
    } else {
        let hint =
            if sasl { "set `security.protocol` to SASL_SSL" } else { "set `security.protocol` to SSL, or SASL_SSL" };
        faults.extend(without_effect(properties, &["ssl.", "enable.ssl."], &protocol, hint));
    }
    faults
}

/// A setting that the protocol never looks at: the connection would be less protected than it reads.
fn without_effect(properties: &Properties, starts: &[&str], protocol: &str, hint: &str) -> Vec<Fault> {
    let idle = properties.0.iter().filter(|(name, _)| starts.iter().any(|start| name.starts_with(start)));
    let faults = idle.map(|(name, value)| {
        let message = format!("`{name}` has no effect while `security.protocol` is {protocol}");
        Fault::new(&value.place, Code::Security, message, hint)
    });
    faults.collect()
}

fn check_sasl(properties: &Properties, section: &Place) -> Vec<Fault> {
    let place = place_of(properties, "security.protocol", section);
    let names = ["sasl.mechanism", "sasl.mechanisms"];
    let mut faults = Vec::new();
    let fault = |place: &Place, message: String, hint: &str| Fault::new(place, Code::Security, message, hint);
    match names.map(|name| properties.get(name)) {
        [None, None] => faults.push(fault(
            &place,
            "SASL is chosen without a mechanism, and the client's own default, GSSAPI, is not in this build".to_owned(),
            "set `sasl.mechanism` to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        )),
        [Some(_), Some(second)] => faults.push(fault(
            &second.place,
            "`sasl.mechanism` and `sasl.mechanisms` are two names of one property".to_owned(),
            "keep one of them",
        )),
        [Some(mechanism), None] | [None, Some(mechanism)] => {
            // librdkafka compares these names exactly, unlike the protocol's.
            if !MECHANISMS.contains(&mechanism.value.expose()) {
                faults.push(fault(
                    &mechanism.place,
                    "the SASL mechanism is not in this build, which has no GSSAPI (Kerberos) and no OAUTHBEARER"
                        .to_owned(),
                    "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
                ));
            }
        }
    }
    for name in ["sasl.username", "sasl.password"] {
        if properties.get(name).is_none_or(|value| value.value.expose().is_empty()) {
            let place = place_of(properties, name, &place);
            faults.push(fault(
                &place,
                format!("SASL is chosen without `{name}`"),
                "set it, for instance from \"${env:NAME}\"",
            ));
        }
    }
    faults
}

/// A client's certificate and its key belong together.
fn check_tls(properties: &Properties) -> Option<Fault> {
    let first = |names: &[&str]| names.iter().find_map(|name| properties.get(name));
    let certificate = first(&["ssl.certificate.location", "ssl.certificate.pem"]);
    let key = first(&["ssl.key.location", "ssl.key.pem"]);
    let (place, message) = match (certificate, key) {
        (Some(certificate), None) => (&certificate.place, "the client's certificate is given without its key"),
        (None, Some(key)) => (&key.place, "the client's key is given without its certificate"),
        _ => return None,
    };
    Some(Fault::new(place, Code::Security, message, "set one of `ssl.certificate.*` and one of `ssl.key.*`"))
}

fn upper(value: Option<&Located<Secret>>) -> Option<String> {
    value.map(|value| value.value.expose().to_ascii_uppercase())
}

fn place_of(properties: &Properties, name: &str, otherwise: &Place) -> Place {
    properties.get(name).map_or_else(|| otherwise.clone(), |value| value.place.clone())
}
