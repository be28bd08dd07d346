//! What links do to packets: which links can.

use super::diagnostics::DiagnosticList;
use crate::Diagnostic;
use crate::file::{LinkSpec, LinkType};
use crate::impair::{Impairment, Impairments};

const HOST: &str = "host";

/// What is said of a link, seen from its end in a node where the other is in none; `None` where it cannot be.
pub(super) fn resolve(
    spec: &LinkSpec,
    kind: LinkType,
    diagnostics: &mut DiagnosticList,
) -> Option<Impairments> {
    let Some(said) = &spec.impair else {
        return Some(Impairments::default());
    };
    let mut impair = said.value.clone();
    let begins_outside = spec.endpoints.first().is_some_and(|end| end.node.value == HOST);
    if begins_outside {
        std::mem::swap(&mut impair.a_to_b, &mut impair.b_to_a);
    }
    let mut wrong = |message: String, help: &str| {
        diagnostics.add(Diagnostic::new(message, said.span.clone(), "").help(help));
        None
    };
    match kind {
        LinkType::Veth | LinkType::Mgmt => {}
        LinkType::Device("dummy") => {
            return wrong(
                "a link of type dummy leads nowhere: there is nothing to impair".to_owned(),
                "remove `impair`, or join two nodes by a link of type veth",
            );
        }
        LinkType::Host | LinkType::Device(_) => {
            let arriving = impair.b_to_a.as_ref();
            if let Some(key) = arriving.and_then(Impairment::beyond_loss) {
                let key_is = format!(
                    "a link of type {} has one end in the lab, where what arrives can only be lost: `{key}` is of what is sent",
                    kind.name()
                );
                let help = match begins_outside {
                    false => "say it of what the node sends: `impair = { a_to_b = { … } }`",
                    true => "say it of what the node sends: `impair = { b_to_a = { … } }`",
                };
                return wrong(key_is, help);
            }
        }
    }
    Some(impair)
}
