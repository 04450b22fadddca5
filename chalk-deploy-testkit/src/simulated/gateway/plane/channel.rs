//! How configuration travels from the controller to the data plane: each resource on its own, after a delay.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Resources of one type under way.
#[derive(Debug)]
pub(in super::super) struct Channel<K, V> {
    /// What the controller wants to be served.
    wanted: BTreeMap<K, Arc<V>>,
    /// What was sent last of each.
    sent: BTreeMap<K, Arc<V>>,
    /// What is under way, in the order in which it arrives.
    under_way: VecDeque<(Duration, K, Option<Arc<V>>)>,
    served: BTreeMap<K, Arc<V>>,
    delay: Duration,
    stopped: bool,
    stopped_keys: BTreeSet<K>,
}

impl<K: Ord + Clone, V: PartialEq> Channel<K, V> {
    pub(super) const fn new(delay: Duration) -> Self {
        Self {
            wanted: BTreeMap::new(),
            sent: BTreeMap::new(),
            under_way: VecDeque::new(),
            served: BTreeMap::new(),
            delay,
            stopped: false,
            stopped_keys: BTreeSet::new(),
        }
    }

    pub(super) fn begin(&mut self, wanted: BTreeMap<K, Arc<V>>) {
        self.sent.clone_from(&wanted);
        self.served.clone_from(&wanted);
        self.wanted = wanted;
        self.under_way.clear();
    }

    pub(super) fn want(&mut self, wanted: BTreeMap<K, Arc<V>>, now: Duration) {
        self.wanted = wanted;
        self.resend(now);
    }

    /// Sends what is wanted and was not sent, unless it is stopped. What is under way is not called back.
    pub(super) fn resend(&mut self, now: Duration) {
        if self.stopped {
            return;
        }
        let keys: BTreeSet<K> = self.wanted.keys().chain(self.sent.keys()).cloned().collect();
        for key in keys.difference(&self.stopped_keys) {
            let wanted = self.wanted.get(key);
            if wanted == self.sent.get(key) {
                continue;
            }
            // Never before what was sent earlier, should the delay have become shorter.
            let due = self.under_way.back().map_or(Duration::ZERO, |(due, ..)| *due).max(now + self.delay);
            self.under_way.push_back((due, key.clone(), wanted.cloned()));
            match wanted.cloned() {
                Some(wanted) => self.sent.insert(key.clone(), wanted),
                None => self.sent.remove(key),
            };
        }
    }

    /// Serves what has arrived by now; says what and when.
    pub(super) fn deliver(&mut self, now: Duration) -> Vec<(Duration, K, Option<Arc<V>>)> {
        let mut arrived = Vec::new();
        while let Some(next) = self.under_way.pop_front_if(|(due, ..)| *due <= now) {
            match &next.2 {
                Some(value) => self.served.insert(next.1.clone(), value.clone()),
                None => self.served.remove(&next.1),
            };
            arrived.push(next);
        }
        arrived
    }

    pub(super) const fn served(&self) -> &BTreeMap<K, Arc<V>> {
        &self.served
    }

    pub(in super::super) const fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    pub(in super::super) const fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    pub(in super::super) fn stop_key(&mut self, key: K) {
        self.stopped_keys.insert(key);
    }

    pub(in super::super) fn resume_key(&mut self, key: &K) {
        self.stopped_keys.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn channel() -> Channel<&'static str, u32> {
        Channel::new(SECOND)
    }

    fn of(pairs: &[(&'static str, u32)]) -> BTreeMap<&'static str, Arc<u32>> {
        pairs.iter().map(|(key, value)| (*key, Arc::new(*value))).collect()
    }

    #[test]
    fn a_change_arrives_after_the_delay_and_not_before() {
        let mut channel = channel();
        channel.want(of(&[("a", 1)]), SECOND);
        assert!(channel.deliver((SECOND * 2).checked_sub(Duration::from_nanos(1)).unwrap()).is_empty());
        assert_eq!(channel.deliver(SECOND * 2), [(SECOND * 2, "a", Some(Arc::new(1)))]);
        channel.want(of(&[]), SECOND * 3);
        assert_eq!(channel.served(), &of(&[("a", 1)]));
        channel.deliver(SECOND * 4);
        assert_eq!(channel.served(), &of(&[]));
    }

    #[test]
    fn what_is_stopped_is_sent_in_its_newest_form_when_it_is_resumed() {
        let mut channel = channel();
        channel.begin(of(&[("a", 1), ("b", 1)]));
        channel.stop_key("a");
        channel.want(of(&[("a", 2), ("b", 2)]), SECOND);
        channel.want(of(&[("a", 3), ("b", 2)]), SECOND);
        channel.deliver(SECOND * 9);
        assert_eq!(channel.served(), &of(&[("a", 1), ("b", 2)]));
        channel.resume_key(&"a");
        channel.resend(SECOND * 9);
        assert_eq!(channel.deliver(SECOND * 10).len(), 1);
        assert_eq!(channel.served(), &of(&[("a", 3), ("b", 2)]));
    }

    #[test]
    fn a_shorter_delay_overtakes_nothing() {
        let mut channel = channel();
        channel.want(of(&[("a", 1)]), SECOND);
        channel.set_delay(Duration::ZERO);
        channel.want(of(&[("a", 2)]), SECOND);
        let arrived: Vec<_> = channel.deliver(SECOND * 2).into_iter().map(|(_, _, value)| value).collect();
        assert_eq!(arrived, [Some(Arc::new(1)), Some(Arc::new(2))]);
    }
}
