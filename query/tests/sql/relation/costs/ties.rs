//! What it costs that ties are broken at random.

use super::*;

#[test]
fn peers_whose_order_is_seen_are_shuffled() {
    let element = Moved { fp61: 1, ..Moved::default() };
    let fold = || Fold { op: FoldOp::Sum(3), when: None };
    let sum = |places, row, unique, function| window_of(places, row, unique, vec![(function, column(field(Ring::Fp61), false))]);
    for places in SIZES {
        for row in [false, true] {
            let running = Function::Running { fold: fold(), peers: false };
            let shuffled = cost::shuffle(moved(row).message(places), 0);
            let (sorted, turn) = sort(places, PARTITION + ORDER + usize::from(row), moved(row), 1);
            let formula = shuffled.then(sorted).then(partitions(places, row, element, turn));
            assert_eq!(sum(places, row, false, running), formula, "{places} {row}");
            // it is not seen
            for function in [Function::Whole(fold()), Function::Running { fold: fold(), peers: true }] {
                assert_eq!(sum(places, row, false, function.clone()), sum(places, row, true, function), "{places} {row}");
            }
        }
    }
}
