//! Who may do what.

use std::fmt;

/// A name with a password, and what it may do.
#[derive(Debug, Clone)]
pub struct Account {
    pub(super) name: String,
    pub(super) password: Secret,
    grants: Vec<Grant>,
    catalog: bool,
}

#[derive(Debug, Clone)]
struct Grant {
    /// A repository, or with a slash at its end everything below it; empty for all.
    repositories: String,
    actions: Vec<Action>,
}

impl Account {
    /// An account that may do nothing yet.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: Secret(password.into()), grants: Vec::new(), catalog: false }
    }

    /// An account that may do everything.
    pub fn administrator(name: impl Into<String>, password: impl Into<String>) -> Self {
        let all = [Action::Pull, Action::Push, Action::Delete];
        Self { catalog: true, ..Self::new(name, password).may(all, "") }
    }

    /// Lets it do more: in one repository, in all below a name that ends in a slash (a project), or with an empty one
    /// in all.
    #[must_use]
    pub fn may(mut self, actions: impl IntoIterator<Item = Action>, repositories: impl Into<String>) -> Self {
        self.grants.push(Grant { repositories: repositories.into(), actions: actions.into_iter().collect() });
        self
    }

    pub(super) fn is_allowed(&self, action: Action, repository: &str) -> bool {
        self.grants.iter().any(|grant| {
            let place = &grant.repositories;
            let matches =
                place.is_empty() || place == repository || place.ends_with('/') && repository.starts_with(place);
            matches && grant.actions.contains(&action)
        })
    }

    pub(super) const fn may_list_repositories(&self) -> bool {
        self.catalog
    }
}

/// What an account may do in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Read.
    Pull,
    /// Write.
    Push,
    /// Delete.
    Delete,
}

impl Action {
    /// As scopes name it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Pull, Self::Push, Self::Delete].into_iter().find(|action| action.name() == name)
    }
}

/// A password or a key, which is not printed.
#[derive(Clone)]
pub(super) struct Secret(String);

impl Secret {
    /// Whether it is this one, in a time that does not tell where they differ.
    pub(super) fn is(&self, other: &str) -> bool {
        same(self.0.as_bytes(), other.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// Whether two are the same, in a time that depends on their lengths alone.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |different, (one, other)| different | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_holds_for_its_repository_or_its_project_and_no_further() {
        let account = Account::new("a", "p").may([Action::Pull], "one").may([Action::Push], "project/");
        assert!(account.is_allowed(Action::Pull, "one"));
        assert!(!account.is_allowed(Action::Push, "one"));
        assert!(!account.is_allowed(Action::Pull, "one/below"));
        assert!(account.is_allowed(Action::Push, "project/x/y"));
        assert!(!account.is_allowed(Action::Push, "projects"));
    }

    #[test]
    fn a_password_is_not_printed() {
        assert!(!format!("{:?}", Account::new("a", "sesame")).contains("sesame"));
    }
}
