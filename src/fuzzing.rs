//! What strangers send, as plain functions for `fuzz/`: each takes any bytes and panics where the code breaks a promise.

pub use crate::sync::fuzzing::{control, envelope, uri};
pub use crate::transport::fuzzing::{filter, packet, plain, query, websocket};

/// Runs the targets without a fuzzer, so that every toolchain does: over their seeds, all cuts of them, and mutations.
#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use rand::rngs::SmallRng;
    use rand::seq::{IndexedMutRandom, IndexedRandom};
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn envelope_keeps_its_promises() {
        run("envelope", envelope);
    }

    #[test]
    fn control_keeps_its_promises() {
        run("control", control);
    }

    #[test]
    fn query_keeps_its_promises() {
        run("query", query);
    }

    #[test]
    fn filter_keeps_its_promises() {
        run("filter", filter);
    }

    #[test]
    fn packet_keeps_its_promises() {
        run("packet", packet);
    }

    #[test]
    fn plain_keeps_its_promises() {
        run("plain", plain);
    }

    #[test]
    fn websocket_keeps_its_promises() {
        run("websocket", websocket);
    }

    #[test]
    fn uri_keeps_its_promises() {
        run("uri", uri);
    }

    fn run(target: &str, check: fn(&[u8])) {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "no seeds for {target}");
        let mut rng = SmallRng::seed_from_u64(1);
        for seed in &seeds {
            (0..=seed.len()).for_each(|end| check(&seed[..end]));
            for _ in 0..MUTATIONS {
                check(&mutated(&mut rng, seed, &seeds));
            }
        }
    }

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let files = std::fs::read_dir(folder.join(target)).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
            .iter()
            .map(|file| std::fs::read(file).unwrap())
            .collect()
    }

    /// Changes some bytes, or puts a piece of another seed into this one.
    fn mutated(rng: &mut SmallRng, seed: &[u8], seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        let at = rng.random_range(0..=bytes.len());
        if rng.random_bool(0.3) {
            let other = seeds.choose(rng).unwrap();
            let from = rng.random_range(0..=other.len());
            let to = rng.random_range(from..=other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
        for _ in 0..rng.random_range(0..4) {
            if let Some(byte) = bytes.choose_mut(rng) {
                *byte = rng.random();
            }
        }
        bytes
    }

    const MUTATIONS: usize = 500;
}
