//! The order in which rules are asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::configuration::{ObjectName, RouteConfiguration, RuleConfiguration};
use super::super::hostname::Hostname;
use super::super::matching::{Asked, Matcher};

/// All matches of all routes, by hostname.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<(Hostname, Vec<Found>)>);

/// A match of a rule.
#[derive(Debug, Clone)]
pub(in super::super) struct Found {
    pub(in super::super) name: ObjectName,
    pub(in super::super) route: Arc<RouteConfiguration>,
    rule: usize,
    matched: usize,
}

impl Found {
    pub(in super::super) fn rule(&self) -> &RuleConfiguration {
        &self.route.rules[self.rule]
    }

    pub(in super::super) fn matcher(&self) -> &Matcher {
        &self.rule().matches[self.matched]
    }
}

impl Table {
    pub(super) fn new(routes: &BTreeMap<ObjectName, Arc<RouteConfiguration>>) -> Self {
        let mut oldest_first: Vec<_> = routes.iter().collect();
        oldest_first.sort_by(|(one, first), (two, second)| (&first.created, one).cmp(&(&second.created, two)));
        let mut hosts: BTreeMap<Hostname, Vec<Found>> = BTreeMap::new();
        for (name, route) in oldest_first {
            for hostname in &route.hostnames {
                let found = hosts.entry(hostname.clone()).or_default();
                for (rule, configuration) in route.rules.iter().enumerate() {
                    found.extend((0..configuration.matches.len()).map(|matched| Found {
                        name: name.clone(),
                        route: route.clone(),
                        rule,
                        matched,
                    }));
                }
            }
        }
        let mut hosts: Vec<_> = hosts.into_iter().collect();
        hosts.sort_by_key(|(hostname, _)| hostname.precedence());
        for (_, found) in &mut hosts {
            // Stable: of equals, the older route, and in one route the earlier rule.
            found.sort_by(|one, other| one.matcher().before(other.matcher()));
        }
        Self(hosts)
    }

    /// The match for a request. The most specific hostname decides alone, as Envoy's virtual hosts do: a request that
    /// none of its rules takes is not offered to a broader one.
    pub(super) fn find(&self, host: &str, asked: &Asked<'_>) -> Option<Found> {
        let (_, found) = self.0.iter().find(|(hostname, _)| hostname.matches(host))?;
        found.iter().find(|found| found.matcher().matches(asked)).cloned()
    }
}
