//! Budgets and sensitivities.

use protocols::privacy::{Bounds, Budget, Delta, Epsilon, Laplace, Loss, Sensitivity, debit};

fn loss(epsilon: u64, delta: u128) -> Loss {
    Loss { epsilon: Epsilon(epsilon), delta: Delta(delta) }
}

#[test]
fn a_budget_is_spent_to_the_last_unit_and_no_further() {
    let mut budget = Budget::new(loss(1_000_000, 5));
    budget.spend(loss(400_000, 2)).expect("within");
    let refused = budget.spend(loss(600_001, 0)).unwrap_err();
    assert_eq!(refused.left, loss(600_000, 3));
    assert!(refused.to_string().contains("ε = 0.6, δ = 0.000000000000000000000003"), "{refused}");
    assert!(budget.spend(loss(0, 4)).is_err());
    assert_eq!(budget.spent(), loss(400_000, 2), "what is refused costs nothing");
    budget.spend(loss(600_000, 3)).expect("the rest");
    assert_eq!(budget.left(), Loss::default());
    assert!(budget.spend(loss(1, 0)).is_err());
    assert!(budget.spend(loss(u64::MAX, u128::MAX)).is_err(), "sums do not wrap");
}

#[test]
fn all_budgets_are_debited_or_none() {
    let (mut one, mut other) = (Budget::new(loss(10, 0)), Budget::new(loss(5, 0)));
    let refused = debit(&mut [&mut one, &mut other], loss(7, 0)).unwrap_err();
    assert_eq!((refused.budget, refused.left), (1, loss(5, 0)));
    assert_eq!(one.spent(), Loss::default());
    debit(&mut [&mut one, &mut other], loss(5, 0)).expect("both have it");
    assert_eq!((one.left(), other.left()), (loss(5, 0), Loss::default()));
}

#[test]
fn sensitivities() {
    let bounds = Bounds::new(-7, 5).expect("in order");
    assert_eq!(Bounds::new(1, 0), None);
    assert_eq!(Sensitivity::of_entities(3, 10), Sensitivity { each: 1, total: 3, cells: 3 });
    assert_eq!(Sensitivity::of_entities(3, 2), Sensitivity { each: 1, total: 2, cells: 2 });
    assert_eq!(Sensitivity::of_rows(3, 10), Sensitivity { each: 3, total: 3, cells: 3 });
    assert_eq!(Sensitivity::of_sums(&bounds, 3, 10), Ok(Sensitivity { each: 21, total: 21, cells: 3 }));
    assert!(Sensitivity::of_sums(&Bounds { low: i64::MIN, high: 0 }, 2, 1).is_err());
}

/// The debit of a Laplace release is its ε, and a δ that grows with the cells an entity touches.
#[test]
fn losses() {
    let one = Laplace::new(Epsilon::ONE, &Sensitivity::of_entities(1, 100)).expect("fits").loss();
    assert_eq!(one.epsilon, Epsilon::ONE);
    // (1 + e) 8 / 2^64 = 1.6125 10^-18
    assert_eq!(one.delta.0 / 100, 16_125);
    let three = Laplace::new(Epsilon::ONE, &Sensitivity::of_entities(3, 100)).expect("fits").loss();
    assert!(three.delta > one.delta && three.epsilon == Epsilon::ONE);
    assert_eq!(Epsilon(1_500_000).to_string(), "1.5");
    assert_eq!(loss(0, 0).to_string(), "ε = 0, δ = 0");
}
