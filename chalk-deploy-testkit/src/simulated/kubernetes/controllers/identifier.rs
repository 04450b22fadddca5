//! Names and addresses that controllers make up, as functions of what they are for: one seed gives one run.

use chalk_deploy_core::model::Digest;

/// The letters of generated names: no vowels and no digits that look like letters, so that no words come out.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A word of `length` letters that stands for `source`.
pub(crate) fn word(source: &str, length: usize) -> String {
    let digest = Digest::of(source);
    let letters = digest.as_bytes().iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    letters.take(length).collect()
}

/// A generated name: `prefix` with five letters, as the API server makes them from a `generateName`.
pub(crate) fn generated(prefix: &str, source: &str) -> String {
    // A name has at most 63 characters where it is a label too; five are for the word.
    let kept = prefix.char_indices().nth(58).map_or(prefix, |(end, _)| &prefix[..end]);
    format!("{kept}{}", word(source, 5))
}

/// The address number `number` in a network of `10.0.0.0/8` that begins at `10.first` and has `bits` bits. Neither
/// the first nor the last of 256 comes out.
pub(crate) fn address(first: u8, bits: u32, number: u64) -> String {
    let number = number % (1 << (bits - 1));
    // 254 usable numbers for each third part.
    let (third, fourth) = (number / 254, number % 254 + 1);
    let third = third % (1 << (bits - 8));
    format!("10.{}.{}.{fourth}", u64::from(first) + third / 256, third % 256)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_generated_name_fits_a_label() {
        assert!(generated(&"x".repeat(100), "source").len() <= 63);
        assert_eq!(generated("engine-", "a"), generated("engine-", "a"));
        assert_ne!(generated("engine-", "a"), generated("engine-", "b"));
    }

    #[test]
    fn addresses_are_distinct_and_stay_in_their_network() {
        let addresses: BTreeSet<_> = (0..100_000).map(|number| address(128, 22, number)).collect();
        assert_eq!(addresses.len(), 100_000);
        for address in addresses {
            let parts: Vec<u8> = address.split('.').map(|part| part.parse().expect("a byte")).collect();
            assert!((128..192).contains(&parts[1]) && (1..=254).contains(&parts[3]), "{address}");
        }
    }
}
