//! Levels of AND gates over wires: operands are put together in blocks that stay in the first-level cache, then multiplied as in
//! [`product`](super::product).

use super::Rep3;
use super::product::ZeroPart;
use super::share::Rep3Share;
use crate::engine::Share;
use crate::wire::{Gate, Wire};
use mpc_core::prss::BLOCK;
use mpc_core::{B64, Column, Layout, Ring};
use zeroize::Zeroize;

/// Words of an operand put together at a time.
const WORDS: usize = BLOCK / 2;

/// A wire as this party reads it: for each component the planes to add, and whether to complement their sum. A complement is that of component
/// 0, which P_0 holds first and P_2 second.
struct Operand<'a> {
    planes: [Vec<&'a [B64]>; 2],
    complement: [bool; 2],
}

impl Rep3 {
    /// The part z_i of a level of gates.
    pub(super) fn ands_part(&mut self, gates: &[Gate<'_, Rep3Share<B64>>]) -> Column<B64> {
        let layout = level_layout(gates.iter().flat_map(|(x, y)| [x, y]), gates.len());
        let operands: Vec<_> = gates.iter().map(|(x, y)| (self.operand(x), self.operand(y))).collect();
        let mut zero = ZeroPart::draw(self, layout.len::<B64>());
        let mut buffers = [[B64::ZERO; WORDS]; 4];
        let part = Column::build(layout, |at, z| {
            let mut masks = zero.next(z);
            for (gate, words, z) in Runs::new(at, z, layout) {
                let (now, later) = masks.split_at(z.len());
                masks = later;
                let (x, y) = &operands[gate];
                let [x0, x1, y0, y1] = &mut buffers;
                let (x0, x1) = (x.sum(0, words.clone(), x0), x.sum(1, words.clone(), x1));
                let (y0, y1) = (y.sum(0, words.clone(), y0), y.sum(1, words, y1));
                let factors = x0.iter().zip(x1).zip(y0.iter().zip(y1));
                z.iter_mut()
                    .zip(factors)
                    .zip(now)
                    .for_each(|((z, ((x0, x1), (y0, y1))), m)| *z = B64::masked_cross((*x0, *x1), (*y0, *y1), *z, *m));
            }
        });
        buffers.as_flattened_mut().zeroize();
        part
    }

    /// The wires as planes of one share.
    pub(super) fn joined(&self, wires: &[Wire<'_, Rep3Share<B64>>]) -> Rep3Share<B64> {
        let layout = level_layout(wires.iter(), wires.len());
        let operands: Vec<_> = wires.iter().map(|w| self.operand(w)).collect();
        let component = |c: usize| {
            let mut buffer = [B64::ZERO; WORDS];
            let column = Column::build(layout, |at, out| {
                for (wire, words, out) in Runs::new(at, out, layout) {
                    out.copy_from_slice(operands[wire].sum(c, words, &mut buffer));
                }
            });
            buffer.as_mut_slice().zeroize();
            column
        };
        Rep3Share::from_components(component(0), component(1))
    }

    fn operand<'a>(&self, wire: &'a Wire<'_, Rep3Share<B64>>) -> Operand<'a> {
        let me = self.session().me().0;
        Operand {
            planes: [
                wire.planes().map(|(share, i)| share.first().plane(i)).collect(),
                wire.planes().map(|(share, i)| share.second().plane(i)).collect(),
            ],
            complement: [wire.is_complemented() && me == 0, wire.is_complemented() && me == 2],
        }
    }
}

impl Operand<'_> {
    /// The words `range` of a component: where they are if nothing is to be done to them, else in `buffer`.
    fn sum<'b>(&'b self, component: usize, range: std::ops::Range<usize>, buffer: &'b mut [B64; WORDS]) -> &'b [B64] {
        let (first, others) = self.planes[component].split_first().expect("a wire has a plane");
        let first = &first[range.clone()];
        let Some((second, others)) = others.split_first() else {
            if !self.complement[component] {
                return first;
            }
            let buffer = &mut buffer[..first.len()];
            buffer.iter_mut().zip(first).for_each(|(v, a)| *v = a.add(B64::ONE));
            return buffer;
        };
        let ones = if self.complement[component] { B64::ONE } else { B64::ZERO };
        let buffer = &mut buffer[..first.len()];
        buffer.iter_mut().zip(first.iter().zip(&second[range.clone()])).for_each(|(v, (a, b))| *v = a.add(*b).add(ones));
        for plane in others {
            buffer.iter_mut().zip(&plane[range.clone()]).for_each(|(v, a)| *v = v.add(*a));
        }
        buffer
    }
}

fn level_layout<'w, 'a: 'w>(mut wires: impl Iterator<Item = &'w Wire<'a, Rep3Share<B64>>>, planes: usize) -> Layout {
    let rows = |w: &Wire<'_, Rep3Share<B64>>| w.planes().next().expect("a wire has a plane").0.layout().rows;
    let first = rows(wires.next().expect("a level has at least one wire"));
    let equal = |w: &Wire<'_, Rep3Share<B64>>| w.planes().all(|(share, _)| share.layout().rows == first);
    assert!(wires.all(equal), "wires of a level have equal rows");
    Layout::new(first, planes)
}

/// A block of a column's words, cut at the ends of planes: for each piece its plane, its words in the plane and where they go.
struct Runs<'z> {
    plane: usize,
    word: usize,
    stride: usize,
    out: &'z mut [B64],
}

impl<'z> Runs<'z> {
    fn new(at: usize, out: &'z mut [B64], layout: Layout) -> Self {
        let stride = layout.stride::<B64>();
        Runs { plane: at / stride, word: at % stride, stride, out }
    }
}

impl<'z> Iterator for Runs<'z> {
    type Item = (usize, std::ops::Range<usize>, &'z mut [B64]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.out.is_empty() {
            return None;
        }
        let words = self.word..self.stride.min(self.word + self.out.len().min(WORDS));
        let plane = self.plane;
        let (now, later) = std::mem::take(&mut self.out).split_at_mut(words.len());
        self.out = later;
        self.word = words.end;
        if self.word == self.stride {
            (self.plane, self.word) = (plane + 1, 0);
        }
        Some((plane, words, now))
    }
}
