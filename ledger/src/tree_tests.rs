use super::*;
use proptest::prelude::*;

/// The eight inputs of the certificate-transparency reference implementation (google/certificate-transparency,
/// merkletree tests), with their roots.
const INPUTS: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn ct_leaves() -> Vec<Hash> {
    INPUTS.iter().map(|input| leaf_hash(input)).collect()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn get<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

/// The recursive definitions of RFC 6962, word by word.
mod rfc {
    use super::*;

    pub fn mth(d: &[Hash]) -> Hash {
        match d {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let k = split(d.len() as u64) as usize;
                node_hash(&mth(&d[..k]), &mth(&d[k..]))
            }
        }
    }

    pub fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
        if d.len() == 1 {
            return vec![];
        }
        let k = split(d.len() as u64) as usize;
        let (mut path, other) = if m < k { (path(m, &d[..k]), mth(&d[k..])) } else { (path(m - k, &d[k..]), mth(&d[..k])) };
        path.push(other);
        path
    }

    pub fn subproof(m: usize, d: &[Hash], b: bool) -> Vec<Hash> {
        if m == d.len() {
            return if b { vec![] } else { vec![mth(d)] };
        }
        let k = split(d.len() as u64) as usize;
        let (mut proof, other) =
            if m <= k { (subproof(m, &d[..k], b), mth(&d[k..])) } else { (subproof(m - k, &d[k..], false), mth(&d[..k])) };
        proof.push(other);
        proof
    }
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let leaves = ct_leaves();
    assert_eq!(get(root(&leaves[..], 0)).to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size, expected) in (1..).zip(ROOTS) {
        assert_eq!(get(root(&leaves[..], size)).to_string(), expected, "{size} leaves");
    }
}

#[test]
fn proofs_are_those_of_certificate_transparency() {
    let leaves = ct_leaves();
    let hex = |proof: Vec<Hash>| proof.iter().map(Hash::short).collect::<Vec<_>>();
    // Audit paths and consistency proofs of the reference implementation's tests, by their first digits.
    let path = |index, size| hex(get(prove(&leaves[..], index, index + 1, size)));
    assert_eq!(path(0, 1), [] as [&str; 0]);
    assert_eq!(path(0, 8), ["96a296d2", "5f083f0a", "6b47aaf2"]);
    assert_eq!(path(5, 8), ["bc1a0643", "ca854ea1", "d37ee418"]);
    assert_eq!(path(2, 3), ["fac54203"]);
    assert_eq!(path(1, 5), ["6e340b9c", "5f083f0a", "bc1a0643"]);
    let consistency = |old, new| hex(get(prove(&leaves[..], 0, old, new)));
    assert_eq!(consistency(1, 1), [] as [&str; 0]);
    assert_eq!(consistency(1, 8), ["96a296d2", "5f083f0a", "6b47aaf2"]);
    assert_eq!(consistency(6, 8), ["0ebc5d34", "ca854ea1", "d37ee418"]);
    assert_eq!(consistency(2, 5), ["5f083f0a", "bc1a0643"]);
}

#[test]
fn proofs_are_those_of_the_definition_and_verify() {
    let leaves = leaves(70);
    for size in 1..=leaves.len() as u64 {
        let tree = &leaves[..size as usize];
        let whole = get(root(tree, size));
        assert_eq!(whole, rfc::mth(tree));
        for index in 0..size {
            let proof = get(prove(&leaves[..], index, index + 1, size));
            assert_eq!(proof, rfc::path(index as usize, tree));
            assert_eq!(verify_inclusion(&leaves[index as usize], index, size, &whole, &proof), Ok(()));
        }
        for old in 1..=size {
            let proof = get(prove(&leaves[..], 0, old, size));
            assert_eq!(proof, rfc::subproof(old as usize, tree, true));
            assert_eq!(verify_consistency(old, &rfc::mth(&leaves[..old as usize]), size, &whole, &proof), Ok(()));
        }
        assert_eq!(verify_consistency(0, &empty_root(), size, &whole, &[]), Ok(()));
    }
}

#[test]
fn every_aligned_part_is_proved() {
    let leaves = leaves(40);
    for size in 1..=40 {
        let whole = get(root(&leaves[..], size));
        for start in 0..size {
            for end in (start + 1..=size).filter(|end| is_subtree(start, *end)) {
                let part = get(range(&leaves[..], start, end));
                let proof = get(prove(&leaves[..], start, end, size));
                assert_eq!(verify(start, end, size, &part, &whole, &proof), Ok(()), "{start}..{end} of {size}");
            }
        }
    }
}

#[test]
fn a_forked_prefix_is_never_consistent() {
    // At every pair of sizes: the honest proof holds for the honest root and not for that of a tree forked before it.
    let honest = leaves(24);
    let fork: Vec<Hash> = (0..24u64).map(|i| leaf_hash(&[b"fork".as_slice(), &i.to_be_bytes()].concat())).collect();
    for new in 1..=24 {
        let new_root = get(root(&honest[..], new));
        for old in 1..=new {
            let proof = get(prove(&honest[..], 0, old, new));
            for from in 0..old {
                let mut forked = honest.clone();
                forked[from as usize..].copy_from_slice(&fork[from as usize..]);
                let forked_root = get(root(&forked[..], old));
                assert!(verify_consistency(old, &forked_root, new, &new_root, &proof).is_err());
            }
        }
    }
}

proptest! {
    #[test]
    fn a_changed_proof_does_not_hold(size in 1u64..200, at in any::<u64>(), which in any::<usize>(), bit in 0usize..256, kind in 0u8..4) {
        let leaves = leaves(size);
        let index = at % size;
        let whole = get(root(&leaves[..], size));
        let mut proof = get(prove(&leaves[..], index, index + 1, size));
        let mut leaf = leaves[index as usize];
        let flip = |hash: &mut Hash| hash.0[bit / 8] ^= 1 << (bit % 8);
        match kind {
            0 => flip(&mut leaf),
            1 => proof.push(leaf),
            2 if !proof.is_empty() => { proof.pop(); }
            _ if !proof.is_empty() => { let at = which % proof.len(); flip(&mut proof[at]); }
            _ => flip(&mut leaf),
        }
        prop_assert!(verify_inclusion(&leaf, index, size, &whole, &proof).is_err());
    }

    #[test]
    fn no_numbers_panic(start in any::<u64>(), end in any::<u64>(), size in any::<u64>(), count in 0usize..70) {
        let hash = empty_root();
        let proof = vec![hash; count];
        let _ = verify(start, end, size, &hash, &hash, &proof);
        let _ = verify(0, end, size, &hash, &hash, &proof);
        let _ = verify_inclusion(&hash, start, size, &hash, &proof);
        let _ = verify_consistency(start, &hash, size, &hash, &proof);
    }
}
