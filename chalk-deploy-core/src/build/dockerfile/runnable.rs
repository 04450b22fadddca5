//! Which images may run: what a stranger's Dockerfile may leave in an image's config (OCI image specification, *Image
//! Configuration*). Pure.

use serde_json::Value;

use crate::{Error, ErrorCode, Result, text};

/// No config is larger.
pub(crate) const CONFIG_MOST: u64 = 4 << 20;
/// What container runtimes can stack.
pub(crate) const LAYERS_MOST: usize = 127;

/// What an image of a project's own Dockerfile may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImagePolicy {
    /// Whether its user may be root. The pods that this library makes run as another user whatever the image says; an
    /// image that is run elsewhere would not.
    pub allows_root: bool,
}

/// Refuses the config of an image that must not run, or cannot.
///
/// # Errors
/// [`ErrorCode::BuildFailed`].
pub(crate) fn check(config: &Value, layers: usize, platform: &str, policy: ImagePolicy) -> Result<()> {
    let refused = |message: String, hint: &str| {
        Err(Error::new(ErrorCode::BuildFailed, message).on("image of the Dockerfile").with_hint(hint))
    };
    let inner = &config["config"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is = format!("{}/{}", word(&config["os"]), word(&config["architecture"]));
    if !platform.starts_with(&is) {
        return refused(
            format!("it is for {}, not {platform}", text::line(&is, 60)),
            "build on an image for the platform",
        );
    }
    let listed = config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    if listed != layers || layers > LAYERS_MOST {
        let message =
            format!("it has {layers} layers, and its config names {listed}; at most {LAYERS_MOST} can be run");
        return refused(message, "build it anew, with fewer instructions");
    }
    if !policy.allows_root && is_root(&word(&inner["User"])) {
        let user = text::line(&word(&inner["User"]), 60);
        let named = if user.is_empty() { "no user, which means root".to_owned() } else { format!("the user `{user}`") };
        let hint = "end the Dockerfile with `USER 65532`, or with another number that is not 0";
        return refused(format!("its config names {named}"), hint);
    }
    let directory = word(&inner["WorkingDir"]);
    if !is_sound(&directory) {
        // An open directory of the host's could be entered by it (CVE-2024-21626).
        let message = format!("its working directory is `{}`", text::line(&directory, 100));
        return refused(message, "name an absolute path outside of /proc, /sys and /dev with WORKDIR");
    }
    let is_command = |value: &Value| value.as_array().is_some_and(|words| !words.is_empty());
    if !is_command(&inner["Entrypoint"]) && !is_command(&inner["Cmd"]) {
        return refused("it has no command".to_owned(), "name one with ENTRYPOINT or CMD");
    }
    Ok(())
}

/// Whether a user is root, or could be: a name is looked up in a file of the image.
fn is_root(user: &str) -> bool {
    let user = user.split(':').next().unwrap_or_default();
    user.parse::<u32>().map_or(true, |number| number == 0)
}

fn is_sound(directory: &str) -> bool {
    if directory.is_empty() {
        return true;
    }
    let mut parts = directory.split('/').filter(|part| !part.is_empty() && *part != ".");
    let is_plain = directory.starts_with('/') && !directory.contains(char::is_control);
    let climbs = directory.split('/').any(|part| part == "..");
    is_plain && !climbs && !parts.next().is_some_and(|first| matches!(first, "proc" | "sys" | "dev"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> Value {
        json!({
            "os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ["a", "b"]},
            "config": {"User": "65532:65532", "WorkingDir": "/app", "Cmd": ["x"]},
        })
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut config = config();
        *config.pointer_mut(pointer).expect("it is there") = value;
        config
    }

    fn checked(config: &Value) -> Result<()> {
        check(config, 2, "linux/amd64", ImagePolicy::default())
    }

    #[test]
    fn an_image_that_would_run_as_root_or_in_the_hosts_folders_is_refused() {
        checked(&config()).expect("an ordinary image");
        for user in ["", "0", "root", "0:65532", "000", "app", "-1", "99999999999"] {
            let error = checked(&with("/config/User", json!(user))).expect_err(user);
            assert!(error.message().starts_with("its config names"), "{error}");
            let policy = ImagePolicy { allows_root: true };
            check(&with("/config/User", json!(user)), 2, "linux/amd64", policy).expect(user);
        }
        for directory in [
            "/proc/self/fd/8",
            "//proc/self/fd/8",
            "/./proc",
            "/app/../proc/self",
            "proc",
            "app",
            "/sys/x",
            "/dev",
            "/app\n",
            "/\0",
        ] {
            let error = checked(&with("/config/WorkingDir", json!(directory))).expect_err(directory);
            assert!(error.message().starts_with("its working directory"), "{error}");
        }
        for directory in ["", "/", "/app", "/procedures", "/app/proc"] {
            checked(&with("/config/WorkingDir", json!(directory))).expect(directory);
        }
    }

    #[test]
    fn an_image_that_cannot_run_is_refused_before_it_is_pushed() {
        for (pointer, value) in [
            ("/architecture", json!("arm64")),
            ("/os", json!("windows")),
            ("/os", json!(7)),
            ("/config/Cmd", json!([])),
            ("/config/Cmd", json!("x")),
            ("/rootfs/diff_ids", json!(["a"])),
            ("/rootfs/diff_ids", json!(null)),
            ("/config", json!(null)),
        ] {
            checked(&with(pointer, value)).expect_err(pointer);
        }
        checked(&json!(null)).expect_err("no config at all");
    }
}
