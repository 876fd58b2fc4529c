//! What a contract allows, in words.

use ledger::contract::{Contract, Dp, DpMode, NoiseLaw, Operation, ROWS, Revocation, Security, Sizes};

/// What may be done, as in "kwh may …".
pub fn may(operation: Operation) -> &'static str {
    match operation {
        Operation::Avg => "be averaged",
        Operation::Corr => "be correlated with others",
        Operation::Count => "be counted",
        Operation::CountDistinct => "have its different values counted",
        Operation::Filter => "be compared, to choose what counts",
        Operation::Group => "be grouped by",
        Operation::Join => "be matched with other tables",
        Operation::Max => "show its largest value",
        Operation::Median => "show its median and percentiles",
        Operation::Min => "show its smallest value",
        Operation::Order => "be ranked by",
        Operation::Release => "be shown row by row",
        Operation::Sum => "be summed",
        Operation::Var => "show its variance",
    }
}

/// A column, or the rows.
pub fn column(name: &str) -> &str {
    if name == ROWS { "rows" } else { name }
}

/// All of it, a sentence a line.
pub fn sentences(contract: &Contract) -> Vec<String> {
    let names: Vec<&str> = contract.planners.iter().map(|key| key.name()).collect();
    let also = if contract.countersigned { ", once they have signed it too" } else { "" };
    let mut all = vec![format!("{} may ask of {}{also}.", and(&names), contract.dataset)];
    for (name, allowed) in &contract.columns {
        let what: Vec<&str> = allowed.iter().map(|operation| may(*operation)).collect();
        all.push(format!("{} may {}.", column(name), and(&what)));
    }
    all.push("Nothing else may be done with any column.".into());
    all.push(format!("For {}.", or(contract.purposes.iter().map(String::as_str))));
    all.push(format!("Answers go to {}.", and(&contract.receivers.iter().map(String::as_str).collect::<Vec<_>>())));
    all.push(match contract.join_with.is_empty() {
        true => "Together with no other agency's table.".into(),
        false => format!("Together with {}.", or(contract.join_with.iter().map(ToString::to_string))),
    });
    all.push(format!("From {} until {}.", contract.not_before, contract.not_after));
    all.push(match contract.max_uses {
        None => "As often as wanted.".into(),
        Some(1) => "Once.".into(),
        Some(uses) => format!("{uses} times."),
    });
    all.extend(restrictions(contract));
    all.push(match contract.revocation {
        Revocation::Immediate => "Its owner may end it at any time, and with it what runs.".into(),
        Revocation::NewJobs => "Its owner may end it at any time; what runs then may end.".into(),
    });
    all
}

/// What it asks beyond who, what, when.
pub fn restrictions(contract: &Contract) -> Vec<String> {
    let mut all = Vec::new();
    if contract.min_group > 1 {
        let of = contract.entity_key.as_ref().map_or("rows".into(), |key| format!("different {key}"));
        all.push(format!("What comes out is of at least {} {of}.", contract.min_group));
    }
    if contract.dominance_pct < 100 {
        all.push(format!("No one has more than {} per cent of a sum that comes out.", contract.dominance_pct));
    }
    for (name, (low, high)) in &contract.clamp {
        all.push(format!("Values of {name} below {low} count as {low}, and above {high} as {high}."));
    }
    if let (Some(rows), Some(key)) = (contract.max_rows_per_entity, &contract.entity_key) {
        all.push(format!("At most {rows} rows of each {key} count."));
    }
    if let Some(dp) = &contract.dp {
        let noise = if dp.mode == DpMode::Required { "Every answer has noise" } else { "Answers may have noise" };
        let noise = if dp.noise == NoiseLaw::Binomial { format!("{noise}, the heads of coins") } else { noise.to_owned() };
        all.push(format!("{noise}: {}.", budget(dp)));
    }
    if let Some(domain) = &contract.entity_domain {
        all.push(format!("Its budget is shared by all tables of {} about {domain}.", contract.owner.name()));
    }
    if contract.security == Security::Malicious {
        all.push("Only with a protocol that holds against parties who cheat.".into());
    }
    match contract.sizes {
        Sizes::Hidden => {}
        Sizes::Bucket => all.push("Others may learn about how many rows are left at home.".into()),
        Sizes::Exact => all.push("Others may learn how many rows are left at home.".into()),
    }
    if let Some(price) = &contract.price {
        all.push(format!("An answer costs {} {}.", price.per_use, price.unit));
    }
    all
}

/// What its owner may not have meant, though it may be so.
pub fn caution(contract: &Contract) -> Option<String> {
    let key = contract.entity_key.as_ref().filter(|_| contract.min_group > 1)?;
    let allowed = contract.columns.get(key)?;
    let narrowing: Vec<&str> = [Operation::Filter, Operation::Sum].into_iter().filter(|one| allowed.contains(one)).map(may).collect();
    (!narrowing.is_empty()).then(|| {
        format!(
            "{key} says whose a row is, and may {}: questions may be narrowed down to one {key}, and `min_group` ({}) alone keeps that from coming out",
            and(&narrowing),
            contract.min_group
        )
    })
}

/// What may be spent on noise.
pub fn budget(dp: &Dp) -> String {
    let all = dp.epsilon_month_all.map(|all| format!("; of all planners together {all} a month")).unwrap_or_default();
    format!("ε at most {} a question and {} a month (δ {}){all}", dp.epsilon_per_query_max, dp.epsilon_month, dp.delta)
}

/// `a, b and c`.
pub fn and(all: &[&str]) -> String {
    joined(all, "and")
}

fn or(all: impl Iterator<Item = impl AsRef<str>>) -> String {
    let all: Vec<_> = all.collect();
    joined(&all.iter().map(AsRef::as_ref).collect::<Vec<_>>(), "or")
}

fn joined(all: &[&str], word: &str) -> String {
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        _ => all.concat(),
    }
}
