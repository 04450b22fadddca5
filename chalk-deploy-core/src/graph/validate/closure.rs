//! What follows from what is given: the least set that the rules lead to.

use super::production::{Production, RuleId, Thing};

/// What follows from what is given.
#[derive(Debug)]
pub(super) struct Closure<'p> {
    production: &'p Production,
    /// Whether rows that nothing produces are taken to be there.
    assumes_rows: bool,
    produced: Vec<bool>,
    /// For each rule, how much of what it needs is not there.
    missing: Vec<u32>,
    /// For each rule, the last question that it could have a part in the answer of.
    asked: Vec<u32>,
    /// Questions are counted from 1. Number 0 is no question: all rules have a part in it.
    question: u32,
    /// How much was looked at.
    work: u64,
}

/// What an answer made new, to be taken back.
#[derive(Debug)]
pub(super) struct New(Vec<Thing>);

impl<'p> Closure<'p> {
    /// What follows from nothing but what the platform makes, and from what is always given.
    pub(super) fn of(production: &'p Production, assumes_rows: bool, given: &[Thing]) -> Self {
        let missing = production.all().map(|rule| u32::try_from(rule.needs.len()).unwrap_or(u32::MAX));
        let mut closure = Self {
            production,
            assumes_rows,
            produced: vec![false; production.things()],
            missing: missing.collect(),
            asked: vec![0; production.rules()],
            question: 0,
            work: 0,
        };
        let mut log = Vec::new();
        for rule in (0..).zip(production.all()).filter(|(_, rule)| rule.needs.is_empty()).map(|(id, _)| id) {
            closure.fire(rule, &mut log);
        }
        for thing in production.always().iter().chain(given) {
            closure.produce(*thing, &mut log);
        }
        closure.follow(log);
        closure
    }

    pub(super) fn has(&self, thing: Thing) -> bool {
        self.produced.get(thing as usize).copied().unwrap_or_default()
    }

    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// Adds what is given, and follows it as far as it can lead to what is wanted. For all that what is wanted may be
    /// made of, `has` is right from here on; for other things it may be that something would follow, and is not said.
    pub(super) fn ask(&mut self, given: &[Thing], wanted: impl IntoIterator<Item = Thing>) -> New {
        let mut log = Vec::new();
        for thing in given {
            self.produce(*thing, &mut log);
        }
        self.question += 1;
        self.look_back(wanted);
        New(self.follow(log))
    }

    /// Takes an answer back: the last one that was not taken back.
    pub(super) fn take_back(&mut self, new: &New) {
        let production = self.production;
        for thing in &new.0 {
            if let Some(produced) = self.produced.get_mut(*thing as usize) {
                *produced = false;
            }
            for rule in production.waiting(*thing) {
                if self.has_a_part(*rule)
                    && let Some(missing) = self.missing.get_mut(*rule as usize)
                {
                    *missing += 1;
                }
            }
        }
    }

    /// Marks all rules that can have a part in making these things of what is there.
    fn look_back(&mut self, wanted: impl IntoIterator<Item = Thing>) {
        let production = self.production;
        let mut open: Vec<Thing> = wanted.into_iter().collect();
        while let Some(thing) = open.pop() {
            if self.has(thing) {
                continue;
            }
            for rule in production.all_makers(thing) {
                self.work += 1;
                if let Some(asked) = self.asked.get_mut(*rule as usize)
                    && std::mem::replace(asked, self.question) != self.question
                {
                    open.extend_from_slice(production.needs(*rule));
                }
            }
        }
    }

    fn has_a_part(&self, rule: RuleId) -> bool {
        self.asked.get(rule as usize) == Some(&self.question)
    }

    fn produce(&mut self, thing: Thing, log: &mut Vec<Thing>) {
        if let Some(produced) = self.produced.get_mut(thing as usize)
            && !std::mem::replace(produced, true)
        {
            log.push(thing);
        }
    }

    fn fire(&mut self, rule: RuleId, log: &mut Vec<Thing>) {
        let production = self.production;
        let Some(rule) = production.rule(rule) else { return };
        if rule.without_rows && !self.assumes_rows {
            return;
        }
        self.work += rule.makes.len() as u64;
        for thing in &rule.makes {
            self.produce(*thing, log);
        }
    }

    fn follow(&mut self, mut log: Vec<Thing>) -> Vec<Thing> {
        let production = self.production;
        let mut next = 0;
        while let Some(thing) = log.get(next).copied() {
            next += 1;
            for rule in production.waiting(thing) {
                self.work += 1;
                if !self.has_a_part(*rule) {
                    continue;
                }
                let Some(missing) = self.missing.get_mut(*rule as usize) else { continue };
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    self.fire(*rule, &mut log);
                }
            }
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::production::{Maker, Rule};
    use super::*;

    const THINGS: u32 = 12;

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let things = |most| prop::collection::btree_set(0..THINGS, 0..most);
        let rule = (things(4), things(3), prop::bool::weighted(0.1)).prop_map(|(needs, makes, without_rows)| Rule {
            maker: Maker::All,
            needs: needs.into_iter().collect(),
            makes: makes.into_iter().collect(),
            without_rows,
        });
        prop::collection::vec(rule, 0..20)
    }

    /// By trying all rules until nothing is new.
    fn tried(rules: &[Rule], assumes_rows: bool, given: &[Thing]) -> Vec<bool> {
        let mut produced: Vec<bool> = (0..THINGS).map(|thing| given.contains(&thing)).collect();
        loop {
            let before = produced.clone();
            for rule in rules.iter().filter(|rule| assumes_rows || !rule.without_rows) {
                if rule.needs.iter().all(|need| produced[*need as usize]) {
                    rule.makes.iter().for_each(|thing| produced[*thing as usize] = true);
                }
            }
            if produced == before {
                return produced;
            }
        }
    }

    proptest! {
        #[test]
        fn answers_are_those_of_trying_all_rules_whatever_was_asked_before(
            rules in rules(),
            always in prop::collection::vec(0..THINGS, 0..3),
            questions in prop::collection::vec(
                (prop::collection::vec(0..THINGS, 0..4), prop::collection::vec(0..THINGS, 0..4)), 1..6),
            assumes_rows in any::<bool>(),
        ) {
            let base = tried(&rules, assumes_rows, &always);
            let expected: Vec<_> = questions
                .iter()
                .map(|(given, _)| tried(&rules, assumes_rows, &[given.as_slice(), &always].concat()))
                .collect();
            let production = Production::of_rules(THINGS as usize, rules);
            let mut closure = Closure::of(&production, assumes_rows, &always);
            let has_all = |closure: &Closure<'_>| -> Vec<bool> { (0..THINGS).map(|thing| closure.has(thing)).collect() };
            prop_assert_eq!(&has_all(&closure), &base);
            for ((given, wanted), expected) in questions.iter().zip(&expected) {
                let new = closure.ask(given, wanted.iter().copied());
                for thing in wanted {
                    prop_assert_eq!(closure.has(*thing), expected[*thing as usize], "{}", thing);
                }
                // What is said of other things may be too little, and is never too much.
                prop_assert!((0..THINGS).all(|thing| !closure.has(thing) || expected[thing as usize]));
                closure.take_back(&new);
                prop_assert_eq!(&has_all(&closure), &base);
            }
        }
    }
}
