//! What it cost.

use std::io::Write as _;
use std::time::Duration;

use chalk_deploy_core::image::Delivered;
use chalk_deploy_core::transport::meter::Reading;
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::arguments::Arguments;

/// Where the meters stood when it began.
pub(crate) struct Cost {
    resident: Option<u64>,
}

/// What it cost, from the start of the process on.
pub(crate) struct Spent {
    reading: Reading,
    cpu: Duration,
    /// The most memory beyond what was there at the start.
    memory: Option<u64>,
}

impl Cost {
    pub(crate) fn begin() -> Self {
        Self { resident: status("VmRSS:") }
    }

    pub(crate) fn end(&self, reading: Reading) -> Spent {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        );
        let peak = status("VmHWM:");
        Spent { reading, cpu, memory: peak.zip(self.resident).map(|(peak, start)| peak.saturating_sub(start)) }
    }
}

impl Spent {
    pub(crate) fn print(&self, arguments: &Arguments, delivered: &Delivered) -> Result<()> {
        let Arguments { target, platforms, .. } = arguments;
        let outcome = delivered.outcome;
        let Reading { requests, round_trips, bytes_sent } = self.reading;
        let cpu = self.cpu.as_secs_f64();
        let out = if arguments.json {
            json!({
                "image": format!("{}@{}", target.repository, outcome.digest),
                "target": target.to_string(),
                "digest": outcome.digest,
                "unchanged": outcome.was_there,
                "platforms": platforms,
                "layers": delivered.layers,
                "requests": requests,
                "round_trips": round_trips,
                "bytes_sent": bytes_sent,
                "cpu_seconds": cpu,
                "memory_bytes": self.memory,
            })
            .to_string()
        } else {
            let unchanged = if outcome.was_there { ", unchanged" } else { "" };
            let plural = |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
            format!(
                "{target}@{}{unchanged}\n{} in {}, {} sent, {cpu:.3} s of CPU",
                outcome.digest,
                plural(requests, "request"),
                plural(round_trips, "round trip"),
                text::bytes(bytes_sent)
            )
        };
        writeln!(std::io::stdout(), "{out}")
            .map_err(|error| Error::new(ErrorCode::Internal, "the result cannot be written").caused_by(error))
    }
}

/// A line of `/proc/self/status`, in bytes. Other systems have none.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}
