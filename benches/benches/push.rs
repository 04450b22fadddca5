//! Rebuilding and pushing an image, beside `crane append`, in one interleaved run: the same folders, on the same base
//! image, into the same registry, one after the other, round by round.
//!
//! ```text
//! $ go install github.com/google/go-containerregistry/cmd/crane@latest
//! $ go install github.com/distribution/distribution/v3/cmd/registry@latest
//! $ cargo build --release --example push_image -p chalk-deploy-examples
//! $ CRANE=crane REGISTRY=registry DEPENDENCIES=DIR cargo bench -p chalk-deploy-benches --bench push
//! ```
//!
//! The registry is the distribution project's, on loopback, with its files in the folder for temporary files. The round
//! trip is added by a proxy of ours that holds back what it forwards, in both directions; making a connection is not
//! held back. `crane` is given a tar that was made before its clock began, and reads it from a file; ours walks the
//! folder. `DEPENDENCIES` is a folder such as `uv pip install --target DIR` makes; without it that part is left out.

use std::env;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chalk_deploy_benches::floor::FloorImage;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// The goals, as parts of what the peer takes.
const GOALS: &str = "goals: wall at most 0.25 of crane's at 0 ms and 0.35 at 50 ms; one request when nothing changed; \
CPU of the dependency layer at most 0.3 of crane's with zstd and 0.6 with gzip, memory below 64 MiB above the start";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // Under `cargo test --benches` there is nothing to measure.
    if env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let Some(bench) = Bench::find()? else { return Ok(()) };
    let rounds = env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(11);
    say(&format!("{GOALS}\nload at the start: {}", load()));
    bench.source_layer(rounds)?;
    if let Ok(folder) = env::var("DEPENDENCIES") {
        bench.dependency_layer(Path::new(&folder), rounds.min(7))?;
    }
    say(&format!("load at the end: {}", load()));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what the benchmark is for")]
fn say(text: &str) {
    println!("{text}");
}

/// The programs, and a registry that runs.
struct Bench {
    crane: PathBuf,
    ours: PathBuf,
    folder: tempfile::TempDir,
    registry: Child,
    /// The address of the registry, and of the proxy before it.
    near: SocketAddr,
    far: SocketAddr,
    _proxy: tokio::runtime::Runtime,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.registry.kill();
        let _ = self.registry.wait();
    }
}

impl Bench {
    fn find() -> Result<Option<Self>, Failure> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
        let ours = env::var_os("PUSH_IMAGE").map_or_else(|| target.join("release/examples/push_image"), PathBuf::from);
        let (Some(crane), Some(registry)) = (env::var_os("CRANE"), env::var_os("REGISTRY")) else {
            say("not run: CRANE and REGISTRY name no programs (the head of benches/push.rs says how to get them)");
            return Ok(None);
        };
        if !ours.is_file() {
            say("not run: build `push_image` first, with --release");
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let near = free_port()?;
        let configuration = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{near}'}}\n",
            folder.path().join("registry").display()
        );
        let file = folder.path().join("registry.yml");
        fs::write(&file, configuration)?;
        let registry = Command::new(registry)
            .arg("serve")
            .arg(&file)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("registry.log"))?)
            .spawn()?;
        let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let far = executor.block_on(proxy(near, Duration::from_millis(25)))?;
        let bench = Self { crane: crane.into(), ours, folder, registry, near, far, _proxy: executor };
        bench.wait_for_registry()?;
        Ok(Some(bench))
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    fn wait_for_registry(&self) -> Result<(), Failure> {
        for _ in 0..200 {
            if std::net::TcpStream::connect(self.near).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("the registry did not start".into())
    }

    /// A base image with one layer, and its digest.
    fn base(&self) -> Result<String, Failure> {
        let tree = self.path("base");
        fs::create_dir_all(tree.join("usr"))?;
        fs::write(tree.join("usr/lib"), text(2 << 20, 1))?;
        let tar = self.tar(&tree, "base")?;
        let name = format!("{}/base:1", self.near);
        run(Command::new(&self.crane)
            .args(["append", "--insecure", "--oci-empty-base", "-f"])
            .arg(tar)
            .args(["-t", &name]))?;
        let platform = ["mutate", "--insecure", "--set-platform", "linux/amd64", "-t", &name, &name];
        run(Command::new(&self.crane).args(platform))?;
        let digest = run(Command::new(&self.crane).args(["digest", "--insecure", &name]))?.stdout;
        Ok(digest.trim().to_owned())
    }

    /// 322 files of Python's density, 3.9 MB, of which one changes each round.
    fn source_layer(&self, rounds: usize) -> Result<(), Failure> {
        let (digest, tree) = (self.base()?, self.path("source"));
        for number in 0..322_u64 {
            let file = tree.join(format!("package_{}/module_{number}.py", number % 17));
            fs::create_dir_all(file.parent().ok_or("no parent")?)?;
            fs::write(file, text(12_100, number))?;
        }
        for (name, address) in [("0 ms", self.near), ("50 ms", self.far)] {
            let base = format!("{address}/base@{digest}");
            let cache = self.path(&format!("cache {name}"));
            let (mut figures, mut floor) = (Figures::default(), Vec::new());
            for round in 0..=rounds {
                fs::write(tree.join("package_0/module_0.py"), format!("round = '{name} {round}'\n"))?;
                let tar = self.tar(&tree, "source")?;
                let (mut crane, mut ours) = (Vec::new(), Vec::new());
                for turn in [round % 2, (round + 1) % 2] {
                    if turn == 0 {
                        crane.push(self.crane_append(&base, &tar, &format!("{address}/crane:{round}"))?);
                    } else {
                        let target = format!("{address}/ours:{round}");
                        ours.push(self.push(&base, &tree, "/app", &target, &cache, "zstd")?);
                    }
                }
                // As long as ours is, packed.
                let least = FloorImage::new(text(900_000, (u64::try_from(round)? << 16) | u64::from(address.port())));
                let least = timed(|| least.push(address))?;
                // The first fills the cache.
                if round > 0 {
                    figures.add(crane.remove(0), ours.remove(0));
                    floor.push(least);
                }
            }
            say(&format!("source layer of 3.9 MB, {name}: {}", figures.shown()));
            say(&format!(
                "the same five requests from a bare client, bytes ready, {name}: median {:.1} ms, shortest {:.1} ms",
                middle(floor.clone()) * 1e3,
                floor.iter().copied().fold(f64::INFINITY, f64::min) * 1e3
            ));
            let target = format!("{address}/ours:{rounds}");
            let again = self.push(&base, &tree, "/app", &target, &cache, "zstd")?;
            let tar = self.path("source.tar");
            let peer = self.crane_append(&base, &tar, &format!("{address}/crane:{rounds}"))?;
            say(&format!(
                "nothing changed, {name}: {} requests, {:.0} ms (crane {:.0} ms)",
                member(&again.stdout, "requests"),
                again.wall * 1e3,
                peer.wall * 1e3
            ));
        }
        Ok(())
    }

    fn dependency_layer(&self, folder: &Path, rounds: usize) -> Result<(), Failure> {
        let digest = self.base()?;
        let base = format!("{}/base@{digest}", self.near);
        for packing in ["zstd", "gzip"] {
            let (mut figures, mut memory) = (Figures::default(), 0.0_f64);
            for round in 0..rounds {
                // First in the layer, so that nothing of it is as it was.
                fs::write(folder.join("0-round"), format!("{packing} {round}"))?;
                let tar = self.tar(folder, "dependencies")?;
                let crane = self.crane_append(&base, &tar, &format!("{}/crane:deps", self.near))?;
                let target = format!("{}/ours:{packing}-{round}", self.near);
                let ours = self.push(&base, folder, "/opt/dependencies", &target, &self.path("cache deps"), packing)?;
                memory = memory.max(member(&ours.stdout, "memory_bytes").parse().unwrap_or_default());
                figures.add(crane, ours);
            }
            let size = fs::metadata(self.path("dependencies.tar"))?.len() / 1_000_000;
            let memory = memory / f64::from(1 << 20);
            say(&format!("dependency layer of {size} MB, {packing}: {}, memory {memory:.1} MiB", figures.shown()));
        }
        fs::remove_file(folder.join("0-round"))?;
        Ok(())
    }

    fn crane_append(&self, base: &str, tar: &Path, target: &str) -> Result<Finished, Failure> {
        let mut command = Command::new(&self.crane);
        run(command.args(["append", "--insecure", "-b", base, "-f"]).arg(tar).args(["-t", target]))
    }

    fn push(
        &self,
        base: &str,
        tree: &Path,
        place: &str,
        target: &str,
        cache: &Path,
        packing: &str,
    ) -> Result<Finished, Failure> {
        let layer = format!("{}={place}", tree.display());
        let mut command = Command::new(&self.ours);
        command.args(["--base", base, "--layer", &layer, "--target", target, "--json", "--compression", packing]);
        run(command.arg("--cache").arg(cache))
    }

    fn tar(&self, tree: &Path, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path(&format!("{name}.tar"));
        let flags = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-cf"];
        run(Command::new("tar").args(flags).arg(&path).arg("-C").arg(tree).arg("."))?;
        Ok(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// How a program ended.
struct Finished {
    /// Seconds on the clock and on the processor.
    wall: f64,
    cpu: f64,
    stdout: String,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn run(command: &mut Command) -> Result<Finished, Failure> {
    let (cpu, began) = (children(), std::time::Instant::now());
    let output = command.stdin(Stdio::null()).output()?;
    let wall = began.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(Finished { wall, cpu: children() - cpu, stdout: String::from_utf8(output.stdout)? })
}

/// Seconds on the clock.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn timed(work: impl FnOnce() -> std::io::Result<()>) -> Result<f64, Failure> {
    let began = std::time::Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds of processor time that the children took that have ended (`proc(5)`, fields 16 and 17 of `stat`).
fn children() -> f64 {
    let mut text = String::new();
    let read = File::open("/proc/self/stat").and_then(|mut file| file.read_to_string(&mut text));
    let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    if read.is_ok() { (ticks(13) + ticks(14)) / 100.0 } else { 0.0 }
}

/// A member of a flat JSON object.
fn member<'a>(json: &'a str, name: &str) -> &'a str {
    let rest = json.split_once(&format!("\"{name}\":")).map_or("", |(_, rest)| rest);
    rest.split([',', '}']).next().unwrap_or_default()
}

#[derive(Default)]
struct Figures {
    crane: Vec<Finished>,
    ours: Vec<Finished>,
}

impl Figures {
    fn add(&mut self, crane: Finished, ours: Finished) {
        self.crane.push(crane);
        self.ours.push(ours);
    }

    fn shown(&self) -> String {
        let median = |of: &[Finished], figure: fn(&Finished) -> f64| middle(of.iter().map(figure).collect());
        let ratio = |figure: fn(&Finished) -> f64| {
            middle(self.crane.iter().zip(&self.ours).map(|(crane, ours)| figure(ours) / figure(crane)).collect())
        };
        // It is counted in hundredths of a second, which add up to the truth.
        let mean_cpu =
            |of: &[Finished]| of.iter().map(|of| of.cpu).sum::<f64>() / f64::from(u32::try_from(of.len()).unwrap_or(1));
        let shortest = |of: &[Finished]| of.iter().map(|of| of.wall).fold(f64::INFINITY, f64::min);
        let last = self.ours.last().map_or("", |last| &last.stdout);
        format!(
            "wall {:.0} ms of crane's {:.0} ms ({:.2}, median of {} pairs {:.2}, shortest {:.1} ms of {:.1} ms, {:.2}), \
             CPU {:.3} s of {:.3} s ({:.2}), {} requests in {} round trips",
            median(&self.ours, |of| of.wall) * 1e3,
            median(&self.crane, |of| of.wall) * 1e3,
            median(&self.ours, |of| of.wall) / median(&self.crane, |of| of.wall),
            self.ours.len(),
            ratio(|of| of.wall),
            shortest(&self.ours) * 1e3,
            shortest(&self.crane) * 1e3,
            shortest(&self.ours) / shortest(&self.crane),
            mean_cpu(&self.ours),
            mean_cpu(&self.crane),
            mean_cpu(&self.ours) / mean_cpu(&self.crane),
            member(last, "requests"),
            member(last, "round_trips"),
        )
    }
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

/// Lines that pack about as well as Python does (a ratio of 4), and are others for each seed.
fn text(length: usize, seed: u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "def ",
        "self",
        "return ",
        "feature",
        "    ",
        "import ",
        "resolver",
        " = ",
        "float",
        "(",
        "):\n",
        "user_id",
        ", ",
        "None",
        "Optional[",
        "]\n",
    ];
    let (mut text, mut state) = (Vec::with_capacity(length + 16), seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(WORDS[usize::try_from(state % 16).unwrap_or_default()].as_bytes());
        if state.is_multiple_of(23) {
            let _ = write!(text, "{:x}", state >> 40);
        }
    }
    text.truncate(length);
    text
}

fn free_port() -> Result<SocketAddr, Failure> {
    Ok(StdListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Forwards connections, each piece of bytes so much later. Ends with its runtime.
async fn proxy(to: SocketAddr, delay: Duration) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(async move {
                #[expect(clippy::disallowed_methods, reason = "the proxy is no adapter")]
                let Ok(far) = TcpStream::connect(to).await else { return };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::join!(forward(near_in, far_out, delay), forward(far_in, near_out, delay));
            });
        }
    });
    Ok(address)
}

/// Reads on while earlier pieces wait: a delay is no limit of throughput.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<(tokio::time::Instant, Vec<u8>)>(1024);
    let read = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if sender.send((tokio::time::Instant::now() + delay, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((at, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
