//! When things run, and how long things may take or be kept.

use super::super::catalog::Catalog;
use super::super::entry::{FeatureEntry, ResolverEntry};
use super::super::proto::feature_type::Kind;
use super::super::proto::{CronAggregateBackfill, Duration, schedule};
use super::super::values::{defect_of_crontab, seconds_of_duration};
use super::super::{Diagnostic, DiagnosticCode};
use super::places::{at_feature, at_query, at_resolver};
use prost::Message as _;

/// The longest duration of protobuf's own documentation of `Duration`: about 10,000 years.
const LONGEST: i64 = 315_576_000_000;

pub(super) fn check(catalog: &Catalog<'_>, found: &mut Vec<Diagnostic>) {
    resolvers(catalog, found);
    let export = catalog.graph.export();
    for cron in &export.crons {
        if let Some(defect) = defect_of_schedule(&cron.cron) {
            let message = format!("the schedule of the query `{}` does not parse: {defect}", cron.cron);
            found.push(invalid(&cron.name, &message).at(&cron.file_name, None));
        }
    }
    for backfill in &export.cron_aggregate_backfills {
        // Kept as wire bytes; what does not decode was refused with the export.
        let Ok(backfill) = CronAggregateBackfill::decode(backfill.clone()) else { continue };
        if let Some(defect) = defect_of_schedule(&backfill.schedule) {
            let message = format!("the schedule of the backfill `{}` does not parse: {defect}", backfill.schedule);
            found.push(invalid(&backfill.name, &message).at(&backfill.file_name, None));
        }
    }
    for feature in &catalog.features {
        durations(catalog, *feature, found);
    }
    for set in &catalog.graph.graph().feature_sets {
        let defect = set.max_staleness_duration.as_ref().and_then(|staleness| defect_of_duration(staleness, 0));
        if let Some(defect) = defect {
            let message = format!("the max_staleness of the feature class {defect}");
            let finding = Diagnostic::error(DiagnosticCode::DurationInvalid, &set.name, &message);
            found.push(super::places::in_set(finding, set));
        }
    }
    for query in catalog.graph.named_queries() {
        for (feature, staleness) in &query.definition().staleness {
            if let Some(defect) = defect_of_duration(staleness, 0) {
                let message = format!("the staleness of `{feature}` {defect}");
                let finding = Diagnostic::error(DiagnosticCode::DurationInvalid, &query.full_name(), &message);
                found.push(at_query(finding, query.definition()));
            }
        }
    }
}

fn invalid(name: &str, message: &str) -> Diagnostic {
    Diagnostic::error(DiagnosticCode::ScheduleInvalid, name, message)
}

fn resolvers(catalog: &Catalog<'_>, found: &mut Vec<Diagnostic>) {
    for resolver in &catalog.resolvers {
        let (timeout, schedule) = match resolver {
            ResolverEntry::Batch(resolver) => (resolver.timeout_duration, resolver.schedule.as_ref()),
            ResolverEntry::Stream(resolver) => (resolver.timeout_duration, None),
            ResolverEntry::Sink(resolver) => (resolver.timeout_duration, None),
        };
        let name = resolver.full_name();
        let defect = match schedule.and_then(|schedule| schedule.when.as_ref()) {
            Some(schedule::When::Crontab(line)) => {
                defect_of_schedule(line).map(|defect| format!("the schedule `{line}` does not parse: {defect}"))
            }
            Some(schedule::When::Duration(every)) => {
                defect_of_duration(every, 1).map(|defect| format!("the duration between two runs {defect}"))
            }
            None => None,
        };
        found.extend(defect.map(|defect| at_resolver(invalid(name, &defect), *resolver)));
        if let Some(defect) = timeout.as_ref().and_then(|timeout| defect_of_duration(timeout, 0)) {
            let message = format!("the timeout {defect}");
            let finding = Diagnostic::error(DiagnosticCode::DurationInvalid, name, &message);
            found.push(at_resolver(finding, *resolver));
        }
    }
}

fn durations(catalog: &Catalog<'_>, feature: FeatureEntry<'_>, found: &mut Vec<Diagnostic>) {
    let named = match feature.definition() {
        Kind::Scalar(scalar) => {
            [("max_staleness", scalar.max_staleness_duration), ("offline_ttl", scalar.offline_ttl_duration)]
        }
        Kind::HasMany(join) => [("max_staleness", join.max_staleness_duration), ("", None)],
        Kind::Windowed(windowed) => {
            let bad = windowed.window_durations.iter().find(|window| defect_of_duration(window, 1).is_some());
            [("window", bad.copied()), ("", None)]
        }
        _ => return,
    };
    for (name, duration) in named {
        let least = i64::from(name == "window");
        if let Some(defect) = duration.as_ref().and_then(|duration| defect_of_duration(duration, least)) {
            let message = format!("the {name} of the feature {defect}");
            let finding = Diagnostic::error(DiagnosticCode::DurationInvalid, &feature.full_name(), &message);
            found.push(at_feature(finding, catalog, feature));
        }
    }
}

/// A schedule is a crontab line or a duration (chalkpy's `ScheduleOptions`).
fn defect_of_schedule(schedule: &str) -> Option<String> {
    match seconds_of_duration(schedule) {
        Some(0) => Some("it has no length".to_owned()),
        Some(_) => None,
        None => defect_of_crontab(schedule),
    }
}

/// What is wrong with a duration of at least so many nanoseconds. The rules are those of `google.protobuf.Duration`.
fn defect_of_duration(duration: &Duration, least: i64) -> Option<&'static str> {
    let Duration { seconds, nanos } = *duration;
    if seconds < 0 || nanos < 0 {
        return Some("is negative");
    }
    if seconds > LONGEST || nanos > 999_999_999 {
        return Some("is no duration of the protobuf format");
    }
    (seconds == 0 && i64::from(nanos) < least).then_some("has no length")
}
