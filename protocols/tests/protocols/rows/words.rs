//! Plans have the words of operators as they stand: what a word is written as is a part of every plan's hash.

use super::*;
use protocols::rows::Constant;
use serde::Serialize;

fn written(word: &impl Serialize, as_text: &str) {
    assert_eq!(serde_json::to_string(word).expect("words can be written"), as_text);
}

#[test]
fn words_are_written_as_ever() {
    written(&SortKey { descending: true, ..ascending(3) }, r#"{"column":3,"descending":true,"nulls_first":false}"#);
    let ops = [
        (FoldOp::Rows, r#""rows""#),
        (FoldOp::Count(1), r#"{"count":1}"#),
        (FoldOp::CountDistinct(2), r#"{"count_distinct":2}"#),
        (FoldOp::Sum(3), r#"{"sum":3}"#),
        (FoldOp::SumDistinct { by: 4, of: 5 }, r#"{"sum_distinct":{"by":4,"of":5}}"#),
        (FoldOp::Same(6), r#"{"same":6}"#),
        (FoldOp::Min(7), r#"{"min":7}"#),
        (FoldOp::Max(8), r#"{"max":8}"#),
        (
            FoldOp::Percentile { column: 9, of: (1, 2), lower: true, discrete: false, descending: false },
            r#"{"percentile":{"column":9,"of":[1,2],"lower":true,"discrete":false,"descending":false}}"#,
        ),
    ];
    for (op, text) in ops {
        written(&fold(op.clone()), &format!(r#"{{"op":{text},"when":null}}"#));
        written(&filtered(op), &format!(r#"{{"op":{text},"when":{WHEN}}}"#));
    }
    let rows = || fold(FoldOp::Rows);
    let lag = |default| Function::Lag { column: 1, by: -2, default };
    let functions = [
        (Function::RowNumber, r#""row_number""#),
        (Function::Rank, r#""rank""#),
        (Function::DenseRank, r#""dense_rank""#),
        (Function::Ntile(4), r#"{"ntile":4}"#),
        (lag(None), r#"{"lag":{"column":1,"by":-2,"default":null}}"#),
        (lag(Some(Constant::Planes(vec![9, 1]))), r#"{"lag":{"column":1,"by":-2,"default":{"planes":[9,1]}}}"#),
        (lag(Some(Constant::Element(-77))), r#"{"lag":{"column":1,"by":-2,"default":{"element":"-77"}}}"#),
        (Function::Whole(rows()), r#"{"whole":{"op":"rows","when":null}}"#),
        (Function::Running { fold: rows(), peers: true }, r#"{"running":{"fold":{"op":"rows","when":null},"peers":true}}"#),
        (Function::Trailing { fold: rows(), before: 2 }, r#"{"trailing":{"fold":{"op":"rows","when":null},"before":2}}"#),
        (Function::First(3), r#"{"first":3}"#),
    ];
    functions.into_iter().for_each(|(function, text)| written(&function, text));
}
