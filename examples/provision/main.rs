//! `cargo run --release --example provision -- PREFIX --cloud CLOUD`: makes the five buckets of a data plane, and sets up
//! those that are there (seed 001). What is as it should be is left alone, so the same command goes on after a failure.

mod arguments;

use std::process::ExitCode;
use std::sync::Arc;

use chalk_deploy_core::error::Retry;
use chalk_deploy_core::provision::{BucketPlan, Encryption, KeptBucket};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use chalk_deploy_examples::data_plane::cloud::Wanted;
use chalk_deploy_examples::terminal::{self, INTERRUPTED, print, say};
use clap::Parser as _;
use serde_json::{Value, json};

use self::arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let refuse = |error: &Error| terminal::refuse(error, arguments.json, is_input(error));
    let executor = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(executor) => executor,
        Err(error) => return refuse(&Error::new(ErrorCode::Internal, "no threads can be started").caused_by(error)),
    };
    let ended = executor.block_on(async {
        tokio::select! {
            ended = run(&arguments) => Some(ended),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    executor.shutdown_background();
    match ended {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => refuse(&error),
        None => {
            say("stopped; the same command goes on with what is left");
            ExitCode::from(INTERRUPTED)
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let plans = plans(arguments)?;
    let runtime: Arc<dyn Runtime> = SystemRuntime::new();
    arguments.account.check(arguments.cloud)?;
    let cloud = arguments.account.open(arguments.cloud, Wanted::default(), &runtime)?;
    if arguments.plan {
        for plan in &plans {
            show_plan(plan, arguments.json);
        }
        return Ok(());
    }
    let keeper = cloud.buckets()?;
    let began = runtime.monotonic();
    for plan in &plans {
        let kept = keeper.keep(plan).await?;
        show(plan, &kept, arguments.json);
    }
    if !arguments.json {
        let took = runtime.monotonic().saturating_sub(began);
        print(&format!("{} buckets in {:.1} s", plans.len(), took.as_secs_f64()));
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

fn show_plan(plan: &BucketPlan, as_json: bool) {
    let (name, role) = (&plan.name, plan.role);
    let origins: Vec<_> = plan.origins.iter().map(ToString::to_string).collect();
    let key = match &plan.encryption {
        Encryption::CustomerKey(key) => Some(text::line(key, 300)),
        _ => None,
    };
    let days = plan.retention.map(|retention| retention.as_secs() / 86_400);
    if as_json {
        let object = json!({
            "bucket": name, "role": role.as_str(), "origins": origins, "encryption_key": key,
            "versioned": plan.versioned, "retention_days": days,
        });
        return print(&object.to_string());
    }
    let mut settings = vec![format!("encrypted with {}", key.unwrap_or_else(|| "the provider's key".to_owned()))];
    settings.extend(plan.versioned.then(|| "versioned".to_owned()));
    settings.extend(days.map(|days| format!("kept for {days} days")));
    settings.push(format!("read from {}", origins.join(", ")));
    print(&format!("{name}  {}", settings.join("; ")));
}

fn show(plan: &BucketPlan, kept: &KeptBucket, as_json: bool) {
    if as_json {
        return print(&object(plan, kept).to_string());
    }
    let done = match (kept.created, kept.changed.as_slice()) {
        (true, _) => "made".to_owned(),
        (false, []) => "as planned".to_owned(),
        (false, changed) => format!("changed: {}", changed.join(", ")),
    };
    print(&format!("{}  {done}", kept.name));
    for cannot in &kept.cannot {
        say(&format!("note: {}: {}", kept.name, text::line(cannot, 300)));
    }
}

fn object(plan: &BucketPlan, kept: &KeptBucket) -> Value {
    json!({
        "bucket": kept.name, "role": plan.role.as_str(), "created": kept.created, "changed": kept.changed,
        "cannot": kept.cannot,
    })
}

/// Whether the person must change what they gave.
fn is_input(error: &Error) -> bool {
    match error.code() {
        ErrorCode::PermissionDenied | ErrorCode::Internal => false,
        _ => error.retry() == Retry::Permanent,
    }
}
