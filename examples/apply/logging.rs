//! The log, off unless the environment asks for it.

use chalk_deploy_core::{Error, ErrorCode, Result, text};
use tracing_subscriber::EnvFilter;

/// Looked at in this order.
const VARIABLES: [&str; 2] = ["CHALK_DEPLOY_LOG", "RUST_LOG"];

/// Lets the library's spans and events go to stderr, if a variable says which. Says whether one does.
///
/// # Errors
/// `VALUE_INVALID` for a filter that does not parse.
pub(super) fn start() -> Result<bool> {
    let asked = VARIABLES.into_iter().find_map(|name| {
        let filter = std::env::var(name).ok().filter(|filter| !filter.is_empty())?;
        Some((name, filter))
    });
    let Some((name, filter)) = asked else { return Ok(false) };
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        Error::new(ErrorCode::ValueInvalid, "the filter of the log does not parse")
            .on(format!("{name}=`{}`", text::line(&filter, 60)))
            .with_hint("write it as `debug` or `chalk_deploy_core=debug`")
            .caused_by(error)
    })?;
    // A second subscriber is no reason to stop; there is none here.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
    Ok(true)
}
