//! `cargo run --release --example provision -- PREFIX --cloud CLOUD`: makes the five buckets of a data plane and, for AWS, the
//! seven queues of a Metadata Plane, and sets up those that are there (seed 001). What is as it should be is left alone, so the same command goes on after a failure.

mod arguments;
mod output;

use std::process::ExitCode;
use std::sync::Arc;

use chalk_deploy_aws::{QueueKeeper, QueuePlan};
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::provision::{BucketPlan, Encryption};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_examples::data_plane::cloud::{OpenedCloud, Wanted};
use chalk_deploy_examples::terminal::{self, INTERRUPTED, print, say};
use clap::Parser as _;

use self::arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match terminal::run(run(&arguments)) {
        Ok(Some(())) => ExitCode::SUCCESS,
        Ok(None) => {
            say("stopped; the same command goes on with what is left");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => terminal::refuse(&error, arguments.json, is_input(&error)),
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let plans = plans(arguments)?;
    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    arguments.account.check(arguments.cloud)?;
    let cloud = arguments.account.open(arguments.cloud, Wanted::default(), &runtime)?;
    let queues = queues(arguments, &cloud)?;
    if arguments.plan {
        for plan in &plans {
            output::bucket_plan(plan, arguments.json);
        }
        for plan in queues.iter().flat_map(|(_, plans)| plans) {
            output::queue_plan(plan, arguments.json);
        }
        return Ok(());
    }
    let keeper = cloud.provider().buckets()?;
    let began = runtime.monotonic();
    for plan in &plans {
        let kept = keeper.keep(plan).await?;
        output::bucket(plan, &kept, arguments.json);
    }
    let mut count = format!("{} buckets", plans.len());
    if let Some((keeper, plans)) = &queues {
        for plan in plans {
            output::queue(plan, &keeper.keep(plan).await?, arguments.json);
        }
        count = format!("{count} and {} queues", plans.len());
    }
    if !arguments.json {
        let took = runtime.monotonic().saturating_sub(began);
        print(&format!("{count} in {:.1} s", took.as_secs_f64()));
    }
    Ok(())
}

/// The five buckets, as the flags want them.
fn plans(arguments: &Arguments) -> Result<[BucketPlan; 5]> {
    let origins = match arguments.origins.as_slice() {
        [] => BucketPlan::HOSTED_ORIGINS.iter().map(|origin| origin.parse()).collect::<Result<Vec<_>>>()?,
        given => given.to_vec(),
    };
    let plans = BucketPlan::five(&arguments.prefix, &origins)?;
    Ok(plans.map(|mut plan| {
        if let Some(key) = &arguments.encryption_key {
            plan = plan.with_encryption(Encryption::CustomerKey(key.clone()));
        }
        match arguments.retention {
            // Only sources are kept against their own deployment.
            Some(retention) if plan.versioned => plan.with_retention(retention),
            _ => plan,
        }
    }))
}

/// The seven queues, if they are wanted, and what makes them.
fn queues<'cloud>(
    arguments: &Arguments,
    cloud: &'cloud OpenedCloud,
) -> Result<Option<(&'cloud QueueKeeper, [QueuePlan; 7])>> {
    if !arguments.queues {
        return Ok(None);
    }
    let keeper = cloud.queues().ok_or_else(|| {
        Error::new(ErrorCode::RequestInvalid, "only a Metadata Plane on AWS has queues")
            .on("--queues")
            .with_hint("leave it out")
    })?;
    let plans = QueuePlan::seven(&arguments.prefix)?;
    let plans = plans.map(|plan| match &arguments.encryption_key {
        Some(key) => plan.with_encryption(Encryption::CustomerKey(key.clone())),
        None => plan,
    });
    Ok(Some((keeper, plans)))
}

/// Whether the person must change what they gave.
fn is_input(error: &Error) -> bool {
    match error.code() {
        ErrorCode::PermissionDenied | ErrorCode::Internal => false,
        _ => error.retry() == Retry::Permanent,
    }
}
