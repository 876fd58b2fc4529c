//! A contract as a policy of ODRL 2.2 (<https://www.w3.org/TR/odrl-model/>) in JSON-LD, for catalogues and negotiations that speak it. An export: what
//! nodes enforce is the contract. ODRL's own actions mean other things (its `aggregate` puts an asset into a larger one), so that operations on
//! columns are actions of a profile.

use super::Document;
use ledger::contract::{Bound, Contract, DpMode, ROWS, Revocation, Security};
use serde_json::{Value, json};

/// Names this profile's actions and operands.
pub const PROFILE: &str = "urn:tacit:odrl:v1";

/// The policy: an Agreement once it is one, an Offer before.
pub fn odrl(document: &Document, agreed: bool) -> Value {
    let contract = &document.contract;
    let uid = document
        .signed
        .as_ref()
        .map_or_else(|| format!("urn:tacit:draft:{}", contract.nonce), |signed| format!("urn:sha256:{}", signed.id));
    let mut assignees: Vec<String> = contract.planners.iter().map(|key| party(key.name())).collect();
    let assignee = if assignees.len() == 1 { json!(assignees.remove(0)) } else { json!(assignees) };
    let (constraints, duties) = (constraints(contract), duties(contract));
    let permissions: Vec<Value> = contract
        .columns
        .iter()
        .map(|(column, allowed)| {
            let actions: Vec<String> = allowed.iter().map(|operation| format!("tacit:{}", operation.name())).collect();
            let mut permission = json!({
                "target": target(contract, column),
                "assigner": party(contract.owner.name()),
                "assignee": assignee,
                "action": actions,
                "constraint": constraints,
            });
            if !duties.is_empty() {
                permission["duty"] = json!(duties);
            }
            permission
        })
        .collect();
    json!({
        "@context": ["http://www.w3.org/ns/odrl.jsonld", {"tacit": format!("{PROFILE}#"), "dpv": "https://w3id.org/dpv#"}],
        "@type": if agreed { "Agreement" } else { "Offer" },
        "uid": uid,
        "profile": PROFILE,
        // What no permission names is not permitted.
        "conflict": "prohibit",
        "permission": permissions,
    })
}

fn party(name: &str) -> String {
    format!("urn:tacit:member:{name}")
}

fn target(contract: &Contract, column: &str) -> String {
    match column {
        ROWS => format!("urn:tacit:dataset:{}", contract.dataset),
        column => format!("urn:tacit:dataset:{}:{column}", contract.dataset),
    }
}

/// Under which conditions it may be done.
fn constraints(contract: &Contract) -> Vec<Value> {
    let time = |text: String| json!({"@value": text, "@type": "xsd:dateTime"});
    let mut all = vec![any("purpose", contract.purposes.iter().map(|purpose| json!({"@id": purpose})))];
    all.push(any("recipient", contract.receivers.iter().map(|name| json!({"@id": party(name)}))));
    all.push(constraint("dateTime", "gteq", time(contract.not_before.to_string())));
    all.push(constraint("dateTime", "lt", time(contract.not_after.to_string())));
    // Of all permissions together.
    all.extend(contract.max_uses.map(|uses| constraint("count", "lteq", json!(uses))));
    all.push(match contract.join_with.is_empty() {
        true => constraint("tacit:joinWith", "eq", own("none")),
        false => any("tacit:joinWith", contract.join_with.iter().map(|pattern| json!(pattern))),
    });
    all.push(constraint("tacit:security", "gteq", own(if contract.security == Security::Malicious { "malicious" } else { "semi-honest" })));
    all.push(constraint("tacit:sizes", "lteq", own(contract.sizes.name())));
    all.push(constraint(
        "tacit:revocation",
        "eq",
        own(if contract.revocation == Revocation::Immediate { "immediate" } else { "new-jobs" }),
    ));
    all
}

/// What has to be done for it: the nodes protect what comes out, whoever asked pays.
fn duties(contract: &Contract) -> Vec<Value> {
    let mut how = Vec::new();
    how.extend(contract.entity_key.iter().map(|key| constraint("tacit:entityKey", "eq", json!({"@id": target(contract, key)}))));
    if contract.min_group > 1 {
        how.push(constraint("tacit:minGroup", "gteq", json!(contract.min_group)));
    }
    if contract.dominance_pct < 100 {
        how.push(constraint("tacit:dominancePercent", "lteq", json!(contract.dominance_pct)));
    }
    how.extend(contract.entity_domain.iter().map(|domain| constraint("tacit:entityDomain", "eq", json!(domain))));
    for (column, (low, high)) in &contract.clamp {
        let of = |left, operator, bound: &Bound| {
            let mut one = constraint(left, operator, decimal(bound.to_string()));
            one["tacit:of"] = json!({"@id": target(contract, column)});
            one
        };
        how.extend([of("tacit:smallestValue", "gteq", low), of("tacit:largestValue", "lteq", high)]);
    }
    how.extend(contract.max_rows_per_entity.map(|rows| constraint("tacit:rowsPerEntity", "lteq", json!(rows))));
    if let Some(dp) = &contract.dp {
        how.push(constraint("tacit:epsilonPerQuery", "lteq", decimal(dp.epsilon_per_query_max.to_string())));
        how.push(constraint("tacit:epsilonPerMonth", "lteq", decimal(dp.epsilon_month.to_string())));
        how.extend(dp.epsilon_month_all.map(|epsilon| constraint("tacit:epsilonPerMonthOfAll", "lteq", decimal(epsilon.to_string()))));
        how.push(constraint("tacit:deltaPerMonth", "lteq", decimal(dp.delta.to_string())));
        how.push(constraint("tacit:noise", "eq", own(dp.noise.name())));
        how.push(constraint("tacit:noiseMode", "eq", own(if dp.mode == DpMode::Required { "required" } else { "optional" })));
    }
    let mut all = Vec::new();
    if !how.is_empty() {
        all.push(json!({"action": "anonymize", "constraint": how}));
    }
    if let Some(price) = &contract.price {
        let mut amount = constraint("payAmount", "eq", decimal(price.per_use.to_string()));
        amount["unit"] = json!(format!("tacit:{}", price.unit));
        all.push(json!({"action": "compensate", "compensatedParty": party(contract.owner.name()), "constraint": [amount]}));
    }
    all
}

fn constraint(left: &str, operator: &str, right: Value) -> Value {
    json!({"leftOperand": left, "operator": operator, "rightOperand": right})
}

/// It is one of these.
fn any(left: &str, values: impl Iterator<Item = Value>) -> Value {
    let mut values: Vec<Value> = values.collect();
    if values.len() == 1 { constraint(left, "eq", values.remove(0)) } else { constraint(left, "isAnyOf", json!(values)) }
}

/// A word of this profile's.
fn own(word: &str) -> Value {
    json!({"@id": format!("tacit:{word}")})
}

fn decimal(text: String) -> Value {
    json!({"@value": text, "@type": "xsd:decimal"})
}

#[cfg(test)]
mod tests;
