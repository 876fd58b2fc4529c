//! A receipt for the office that answers for the data subjects, as Markdown: who may do what with which data, what for, how long, and how it ends.
//! Its headings follow the consent receipts of ISO/IEC TS 27560; the basis it names is the contract, since the agency and not the person gives it.

use super::words::{self, column, may};
use super::{Document, State};
use std::fmt::Write as _;

/// The receipt of a contract in this state.
pub fn receipt(document: &Document, state: State) -> String {
    let contract = &document.contract;
    let names: Vec<&str> = contract.planners.iter().map(|key| key.name()).collect();
    let receivers: Vec<&str> = contract.receivers.iter().map(String::as_str).collect();
    let mut text = format!("# Receipt: use of {} under the contract `{}`\n\n", contract.dataset, contract.id);
    let mut line = |label: &str, what: &str| text += &format!("* **{label}**: {what}\n");
    line("State", &state.to_string());
    line("Controller", &format!("{}, by the key `{}`", contract.owner.name(), contract.owner));
    line("May ask", &words::and(&names));
    line("Receive answers", &words::and(&receivers));
    line("Purpose", &contract.purposes.iter().map(|purpose| format!("<{purpose}>")).collect::<Vec<_>>().join(", "));
    let domain = contract.entity_domain.as_ref().map(|domain| format!(", of {domain}")).unwrap_or_default();
    line(
        "Whose data",
        &contract.entity_key.as_ref().map_or("not said; a row is taken for one".into(), |key| format!("each `{key}`'s{domain}")),
    );
    line("In force", &format!("from {} until {}", contract.not_before, contract.not_after));
    line("Times", &contract.max_uses.map_or("as often as wanted".into(), |uses| format!("{uses} answers in all")));
    let partners: Vec<String> = contract.join_with.iter().map(ToString::to_string).collect();
    line("Together with", &if partners.is_empty() { "no other agency's data".into() } else { partners.join(", ") });
    text += "\n## What may be done\n\n| data | what |\n|---|---|\n";
    for (name, allowed) in &contract.columns {
        let what: Vec<&str> = allowed.iter().map(|operation| may(*operation)).collect();
        writeln!(text, "| {} | may {} |", column(name), words::and(&what)).ok();
    }
    text += "\nNothing else may be done with any column.\n\n## How it is protected\n\n";
    text +=
        "* Records do not leave the agency: what leaves it are secret shares of what is computed, which no single other party can read.\n";
    text += "* Every agency's node checks every question against this contract before it begins.\n";
    for restriction in words::restrictions(contract) {
        writeln!(text, "* {restriction}").ok();
    }
    text += "\n## Retention\n\n";
    text += "* Shares are in memory while a question is computed, and are wiped then. Parts of an answer are kept, sealed to whoever asked, until the job expires.\n";
    text += "* The words of each question, and digests of the sealed parts of its answer, stay with the agencies that computed it: so that it can be said what was asked.\n";
    if contract.dp.is_some() {
        text += "* Of answers with noise each node keeps its share, encrypted, until this contract ends: the same question is answered by the same figures. Two nodes' shares and keys are such an answer, and nothing else.\n";
    }
    if contract.min_group > 1 {
        text +=
            "* The agency's own node keeps keyed fingerprints of whom answers were made of, so that no two answers differ in too few.\n";
    }
    text += "* What comes out is with those who receive answers; this contract ends what is computed, not what they know.\n";
    text += "\n## How it ends\n\n";
    let ends = match contract.revocation {
        ledger::contract::Revocation::Immediate => "what runs ends before its next step, and nothing of it is opened",
        ledger::contract::Revocation::NewJobs => "what runs may end, nothing new begins",
    };
    writeln!(text, "* {} may revoke it at any time (`tacit contract revoke`): {ends}.", contract.owner.name()).ok();
    writeln!(text, "* It ends by itself at {}.", contract.not_after).ok();
    text += "\n## Proof\n\n";
    match &document.signed {
        None => text += "* It is a draft: nobody has signed it.\n",
        Some(signed) => {
            writeln!(text, "* SHA-256 of what was signed: `{}`", signed.id).ok();
            let also: Vec<&str> = signed.countersigned.iter().map(String::as_str).collect();
            let also = if also.is_empty() { String::new() } else { format!(", and by {}", words::and(&also)) };
            writeln!(text, "* Signed by {}{also}", contract.owner.name()).ok();
        }
    }
    text
}
