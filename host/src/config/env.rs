//! `[env]` of a tenant's file: the guest's environment, and where `${secret:NAME}` stands in it for a secret of the tenant.

use super::fault::{Code, Fault, Located, Place};
use super::reader::Section;
use super::references::{Part, Unresolved, parts};
use super::secret::Secret;
use super::suggest;
use super::tenant::Tenant;

/// Variables of one handler.
const MAX_VARIABLES: usize = 256;

/// A variable as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    name: String,
    value: Vec<Piece>,
    place: Place,
}

/// A piece of a variable's value.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    /// The name of one of the tenant's secrets.
    Secret(String),
}

/// Reads the variables, in the file's order.
pub(crate) fn read(root: &mut Section<'_>) -> Vec<Variable> {
    let written = root.entries_with("env", pieces);
    if let Some((_, Located { place, .. })) = written.get(MAX_VARIABLES) {
        let message = format!("`env` has {} variables", written.len());
        root.report(
            place,
            Code::InvalidValue,
            message,
            format!("each call gets a copy of all: write at most {MAX_VARIABLES}"),
        );
    }
    let variables = written.into_iter().filter_map(|(name, Located { value, place })| {
        let has_nul = value.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains('\0')));
        if name.value.is_empty() || name.value.contains(['=', '\0']) || has_nul {
            let message = format!("`env.{}` cannot be an environment variable", name.value.escape_debug());
            root.report(&place, Code::InvalidValue, message, "use a name without `=`, and no NUL in name or value");
            return None;
        }
        Some(Variable { name: name.value, value, place })
    });
    variables.collect()
}

fn pieces(written: &str) -> Result<Vec<Piece>, Unresolved> {
    let piece = |part| match part {
        Part::Text(text) => Ok(Piece::Text(text.to_owned())),
        Part::Reference(reference) => match reference.split_once(':') {
            Some(("secret", name)) => Ok(Piece::Secret(name.to_owned())),
            Some(("env" | "file", _)) => Err(Unresolved::of_the_host(reference)),
            _ => Err(Unresolved::unknown(reference)),
        },
    };
    parts(written)?.into_iter().map(piece).collect()
}

/// The guest's environment with the tenant's secrets filled in, and every reference to one that the tenant does not have.
pub(crate) fn fill(variables: &[Variable], tenant: &Tenant) -> (Vec<(String, Secret)>, Vec<Fault>) {
    let mut faults = Vec::new();
    let filled = variables.iter().map(|variable| {
        let mut value = String::new();
        for piece in &variable.value {
            match piece {
                Piece::Text(text) => value.push_str(text),
                Piece::Secret(name) => match tenant.settings.secrets.get(name) {
                    Some(secret) => value.push_str(secret.expose()),
                    None => faults.push(unknown(variable, name, tenant)),
                },
            }
        }
        (variable.name.clone(), Secret::new(value))
    });
    (filled.collect(), faults)
}

fn unknown(variable: &Variable, name: &str, tenant: &Tenant) -> Fault {
    let message = format!("`env.{}`: the tenant {} has no secret \"{name}\"", variable.name, tenant.name);
    let hint = match suggest::nearest(name, tenant.settings.secrets.names()) {
        Some(near) => format!("did you mean `${{secret:{near}}}`?"),
        None => format!("ask the operator to add it to `secrets` of the tenant {}", tenant.name),
    };
    Fault::new(&variable.place, Code::Reference, message, hint)
}
