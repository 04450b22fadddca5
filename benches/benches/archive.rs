//! What an archive costs: a tree of 50,000 files, listed, packed, hashed as a whole and file by file, in one pass, beside
//! `tar | gzip -1` of the same tree. Goal: 0.9 of the peer's throughput.
//!
//! `cargo bench -p chalk-deploy-benches --bench archive`
//!
//! The two take turns, so that what else the machine does troubles both; the ratio is that of the medians. Both have two
//! threads of work, reading and packing. The peer hashes nothing; we hash each file and the whole.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chalk_deploy_core::source::{CollectOptions, SourceArchive};

const FILES: usize = 50_000;
const FILES_A_DIRECTORY: usize = 100;
const ROUNDS: usize = 7;
const GOAL: f64 = 0.9;

/// Numbers that look random and are always the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % most
    }
}

/// Python as people write it: few words, many names, of a few hundred bytes to some kilobytes.
fn module(numbers: &mut Numbers) -> String {
    const WORDS: [&str; 12] = [
        "features",
        "resolver",
        "customer",
        "total",
        "amount",
        "window",
        "return",
        "float",
        "DataFrame",
        "online",
        "len",
        "value",
    ];
    let lines = 8 + numbers.below(120);
    let mut text = String::new();
    for line in 0..lines {
        let (one, other) = (WORDS[numbers.below(12)], WORDS[numbers.below(12)]);
        let (name, number) = (numbers.below(1 << 20), numbers.below(1000));
        let _ = match line % 4 {
            0 => writeln!(text, "def get_{one}_{name:x}({other}):"),
            1 => writeln!(text, "    \"\"\"The {one} of the {other}, by {name:x}.\"\"\""),
            2 => writeln!(text, "    {other}_{name:x} = {one}({number}) + {other}[{}]", name % 97),
            _ => writeln!(text, "    return {one} * {other}_{name:x}\n"),
        };
    }
    text
}

fn write_tree(root: &Path) -> u64 {
    let mut numbers = Numbers(7);
    let mut written = 0;
    fs::create_dir_all(root).expect("a directory");
    fs::write(root.join("chalk.yaml"), "project: large\n").expect("written");
    for number in 0..FILES {
        let directory = root.join(format!("package_{:03}", number / FILES_A_DIRECTORY));
        if number % FILES_A_DIRECTORY == 0 {
            fs::create_dir(&directory).expect("a directory");
        }
        let text = module(&mut numbers);
        written += text.len() as u64;
        fs::write(directory.join(format!("module_{number}.py")), text).expect("written");
    }
    written
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn peer(root: &Path) {
    let tar = Command::new("tar").arg("-cf").arg("-").arg("-C").arg(root).arg(".").stdout(Stdio::piped()).spawn();
    let mut tar = tar.expect("tar is there");
    let from = tar.stdout.take().expect("it is piped");
    let gzip = Command::new("gzip").arg("-1").stdin(from).stdout(Stdio::null()).status().expect("gzip is there");
    assert!(gzip.success() && tar.wait().expect("a child").success());
}

/// Seconds of processor time so far: of this process, and of its children that have ended (proc(5), fields 14 to 17).
fn processor_seconds() -> (f64, f64) {
    /// Of a tick: the unit of these fields on every Linux.
    const TICKS: f64 = 100.0;
    let status = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = status.rsplit(") ").next().unwrap_or_default();
    let field = |at: usize| behind_name.split(' ').nth(at - 3).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    ((field(14) + field(15)) / TICKS, (field(16) + field(17)) / TICKS)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "the figures are what it is for")]
fn main() {
    // `cargo test --benches` asks for a look only.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // Not below the build's folder: git ignores that, and so does a collection.
    let folder = tempfile::tempdir().expect("a directory");
    let root = folder.path().join("tree");
    let bytes = write_tree(&root) as f64 / f64::from(1 << 20);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let ours = |packed: &mut u64| {
        let archive = runtime.block_on(SourceArchive::collect(&root, CollectOptions::new())).expect("a plain tree");
        assert_eq!(archive.entries().len(), 1 + FILES + FILES / FILES_A_DIRECTORY, "every file is in it");
        *packed = archive.fingerprint().size;
    };
    let (mut own, mut other, mut packed) = (Vec::new(), Vec::new(), 0);
    // The first turn of each fills the caches.
    ours(&mut packed);
    peer(&root);
    let before = processor_seconds();
    for _ in 0..ROUNDS {
        own.push(timed(|| ours(&mut packed)));
        other.push(timed(|| peer(&root)));
    }
    let after = processor_seconds();
    let (spent, spent_by_peer) = ((after.0 - before.0) / ROUNDS as f64, (after.1 - before.1) / ROUNDS as f64);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let shown = |name: &str, times: &mut Vec<Duration>| {
        let middle = median(times);
        let rate = bytes / middle.as_secs_f64();
        println!("{name:<22} median {middle:>8.2?}  least {:>8.2?}  {rate:>6.1} MiB/s", times[0]);
        rate
    };
    println!(
        "{FILES} files, {bytes:.1} MiB, packed {:.1} MiB; {ROUNDS} turns each; load {load}",
        packed as f64 / f64::from(1 << 20)
    );
    let (ours, peers) = (shown("collect", &mut own), shown("tar | gzip -1", &mut other));
    let ratio = ours / peers;
    println!("processor time a turn: {spent:.2} s, the peer's {spent_by_peer:.2} s");
    println!("{ratio:.2} of the peer's throughput; the goal is {GOAL}");
    assert!(ratio >= GOAL, "the goal is missed");
}
