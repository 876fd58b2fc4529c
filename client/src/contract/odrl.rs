//! A contract as a policy of ODRL 2.2 (<https://www.w3.org/TR/odrl-model/>) in JSON-LD, for catalogues and negotiations that speak it. An export: what
//! nodes enforce is the contract. ODRL's own actions mean other things (its `aggregate` puts an asset into a larger one), so that operations on
//! columns are actions of a profile.

use super::Document;
use ledger::contract::{Contract, ROWS};
use serde_json::{Value, json};

/// Names this profile's actions and operands.
pub const PROFILE: &str = "urn:tacit:odrl:v1";

/// The policy: an Agreement once it is signed by those who must, an Offer before.
pub fn odrl(document: &Document, agreed: bool) -> Value {
    let contract = &document.contract;
    let uid = document
        .signed
        .as_ref()
        .map_or_else(|| format!("urn:tacit:draft:{}", contract.nonce), |signed| format!("urn:sha256:{}", signed.id));
    let party = |name: &str| format!("urn:tacit:member:{name}");
    let mut assignees: Vec<String> = contract.planners.iter().map(|key| party(key.name())).collect();
    let assignee = if assignees.len() == 1 { json!(assignees.remove(0)) } else { json!(assignees) };
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
                "constraint": constraints(contract),
            });
            if let Some(price) = &contract.price {
                permission["duty"] = json!([{
                    "action": "compensate",
                    "constraint": [constraint("payAmount", "eq", json!({"@value": price.per_use, "unit": price.unit}))],
                }]);
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

fn target(contract: &Contract, column: &str) -> String {
    match column {
        ROWS => format!("urn:tacit:dataset:{}", contract.dataset),
        column => format!("urn:tacit:dataset:{}:{column}", contract.dataset),
    }
}

fn constraints(contract: &Contract) -> Vec<Value> {
    let any = |values: Vec<Value>| {
        if values.len() == 1 { ("eq", values.into_iter().next().unwrap_or_default()) } else { ("isAnyOf", json!(values)) }
    };
    let time = |text: String| json!({"@value": text, "@type": "xsd:dateTime"});
    let (is, purposes) = any(contract.purposes.iter().map(|purpose| json!({"@id": purpose})).collect());
    let mut all = vec![constraint("purpose", is, purposes)];
    let (is, receivers) = any(contract.receivers.iter().map(|name| json!({"@id": format!("urn:tacit:member:{name}")})).collect());
    all.push(constraint("recipient", is, receivers));
    all.push(constraint("dateTime", "gteq", time(contract.not_before.to_string())));
    all.push(constraint("dateTime", "lt", time(contract.not_after.to_string())));
    if let Some(uses) = contract.max_uses {
        all.push(constraint("count", "lteq", json!(uses)));
    }
    let partners: Vec<String> = contract.join_with.iter().map(ToString::to_string).collect();
    all.push(constraint("tacit:joinWith", "isPartOf", json!(partners)));
    if contract.min_group > 1 {
        all.push(constraint("tacit:minGroup", "gteq", json!(contract.min_group)));
    }
    if contract.dominance_pct < 100 {
        all.push(constraint("tacit:dominancePercent", "lteq", json!(contract.dominance_pct)));
    }
    if let Some(domain) = &contract.entity_domain {
        all.push(constraint("tacit:entityDomain", "eq", json!(domain)));
    }
    if let Some(dp) = &contract.dp {
        all.push(constraint("tacit:epsilonPerQuery", "lteq", json!(dp.epsilon_per_query_max)));
        all.push(constraint("tacit:epsilonPerMonth", "lteq", json!(dp.epsilon_month)));
        if let Some(epsilon) = dp.epsilon_month_all {
            all.push(constraint("tacit:epsilonPerMonthOfAll", "lteq", json!(epsilon)));
        }
        all.push(constraint("tacit:noise", "eq", json!(dp.noise)));
    }
    all
}

fn constraint(left: &str, operator: &str, right: Value) -> Value {
    json!({"leftOperand": left, "operator": operator, "rightOperand": right})
}
