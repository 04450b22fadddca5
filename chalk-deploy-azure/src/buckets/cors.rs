//! The rules by which browsers may read from an account ("Set Blob Service Properties"). They are the account's and not
//! a container's, at most five, and others may have made some of them: a rule that is there is never changed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chalk_deploy_core::provision::Origin;

use crate::refusal::element;

/// How many rules an account may have.
const RULES_MOST: usize = 5;
/// How many origins a rule may have, and how long each may be.
const ORIGINS_MOST: usize = 64;
const ORIGIN_LONGEST: usize = 256;
/// So long a browser need not ask again.
const MAX_AGE: u32 = 3600;

/// One rule, as far as it concerns us; the others are written back as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    origins: BTreeSet<String>,
    methods: BTreeSet<String>,
    /// What stood between its tags.
    written: String,
}

/// What has to be done so that these origins may read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// The document to send. What it does not name stays as it is.
    Write(String),
    /// It cannot be done, for this reason.
    Cannot(String),
    /// The properties cannot be read, so that a write would lose what others have set.
    Unreadable,
}

/// Compares the rules in the service's properties with what is wanted.
pub(super) fn change(properties: &str, origins: &[Origin]) -> Change {
    let Some(rules) = rules(properties) else { return Change::Unreadable };
    let may_read = |origin: &&Origin| {
        rules.iter().any(|rule| {
            let is_listed = rule.origins.contains("*") || rule.origins.contains(origin.as_str());
            is_listed && rule.methods.contains("GET")
        })
    };
    let missing: Vec<&str> = origins.iter().filter(|origin| !may_read(origin)).map(Origin::as_str).collect();
    if missing.is_empty() {
        return Change::None;
    }
    if missing.len() > ORIGINS_MOST || missing.iter().any(|origin| origin.len() > ORIGIN_LONGEST) {
        return Change::Cannot(format!("a rule for browsers holds {ORIGINS_MOST} origins of {ORIGIN_LONGEST} letters"));
    }
    if rules.len() >= RULES_MOST {
        return Change::Cannot(format!(
            "the storage account has its {RULES_MOST} rules for browsers already, so that {} may not read",
            missing.join(", ")
        ));
    }
    let mut document = "<?xml version=\"1.0\" encoding=\"utf-8\"?><StorageServiceProperties><Cors>".to_owned();
    for rule in &rules {
        // Writing to a string cannot fail.
        let _ = write!(document, "<CorsRule>{}</CorsRule>", rule.written);
    }
    let _ = write!(
        document,
        "<CorsRule><AllowedOrigins>{}</AllowedOrigins><AllowedMethods>GET</AllowedMethods>\
         <MaxAgeInSeconds>{MAX_AGE}</MaxAgeInSeconds><ExposedHeaders>*</ExposedHeaders><AllowedHeaders>*</AllowedHeaders>\
         </CorsRule></Cors></StorageServiceProperties>",
        missing.join(",")
    );
    Change::Write(document)
}

/// The rules in the service's properties. `None` for what is not understood to its last rule.
fn rules(properties: &str) -> Option<Vec<Rule>> {
    let (_, properties) = properties.split_once("<StorageServiceProperties")?;
    let mut rules = Vec::new();
    let Some((_, cors)) = properties.split_once("<Cors>") else {
        return (!properties.contains("<CorsRule")).then_some(rules);
    };
    let (mut rest, _) = cors.split_once("</Cors>")?;
    let count = rest.matches("<CorsRule").count();
    while let Some((_, after)) = rest.split_once("<CorsRule>") {
        let (written, after) = after.split_once("</CorsRule>")?;
        let list = |name: &str, upper: bool| {
            let text = element(written, name).unwrap_or_default();
            let each = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            each.map(|item| if upper { item.to_ascii_uppercase() } else { item.to_ascii_lowercase() }).collect()
        };
        rules.push(Rule {
            origins: list("AllowedOrigins", false),
            methods: list("AllowedMethods", true),
            written: written.to_owned(),
        });
        rest = after;
    }
    (rules.len() == count).then_some(rules)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origins(all: &[&str]) -> Vec<Origin> {
        all.iter().map(|origin| origin.parse().expect("an origin")).collect()
    }

    const FOREIGN: &str = "<CorsRule><AllowedOrigins>https://other.example</AllowedOrigins><AllowedMethods>PUT,GET\
        </AllowedMethods><MaxAgeInSeconds>5</MaxAgeInSeconds><ExposedHeaders>x-a&amp;b</ExposedHeaders>\
        <AllowedHeaders /></CorsRule>";

    fn properties(rules: &str) -> String {
        format!(
            "\u{feff}<?xml version=\"1.0\"?><StorageServiceProperties><Logging/><Cors>{rules}</Cors></StorageServiceProperties>"
        )
    }

    #[test]
    fn what_is_missing_is_added_beside_the_rules_of_others_which_stay_as_they_are() {
        let wanted = origins(&["https://api.chalk.ai", "https://other.example"]);
        let Change::Write(document) = change(&properties(FOREIGN), &wanted) else { panic!("a change") };
        assert!(document.contains(FOREIGN), "{document}");
        assert!(document.contains("<AllowedOrigins>https://api.chalk.ai</AllowedOrigins><AllowedMethods>GET<"));
        assert_eq!(document.matches("<CorsRule>").count(), 2, "{document}");
        assert!(!document.contains("Logging"), "what is not named stays");
        assert_eq!(change(&document, &wanted), Change::None, "a second time nothing is missing");
    }

    #[test]
    fn a_full_account_is_left_alone_and_said_to_be_full() {
        let Change::Cannot(why) = change(&properties(&FOREIGN.repeat(5)), &origins(&["https://a.example"])) else {
            panic!("no room")
        };
        assert!(why.contains("https://a.example") && why.contains("5 rules"), "{why}");
        assert_eq!(change(&properties(&FOREIGN.repeat(5)), &origins(&["https://other.example"])), Change::None);
        assert_eq!(change(&properties(""), &[]), Change::None);
    }

    #[test]
    fn rules_that_are_not_understood_are_not_written_over() {
        let wanted = origins(&["https://a.example"]);
        let whole = properties(FOREIGN);
        for unreadable in [
            String::new(),
            "<html>log in</html>".to_owned(),
            whole.replace("</Cors>", ""),
            whole.replace("</CorsRule>", ""),
            whole.replace("<CorsRule>", "<CorsRule id=\"1\">"),
            whole.replace("<Cors>", "<Cors xmlns=\"x\">"),
        ] {
            assert_eq!(change(&unreadable, &wanted), Change::Unreadable, "{unreadable}");
        }
        for empty in ["<StorageServiceProperties/>", "<StorageServiceProperties><Cors /></StorageServiceProperties>"] {
            assert!(matches!(change(empty, &wanted), Change::Write(_)), "{empty}");
        }
    }

    #[test]
    fn who_may_only_write_may_not_read() {
        let only_put = FOREIGN.replace("PUT,GET", "PUT");
        assert!(matches!(change(&properties(&only_put), &origins(&["https://other.example"])), Change::Write(_)));
        let anyone = FOREIGN.replace("https://other.example", "*");
        assert_eq!(change(&properties(&anyone), &origins(&["https://a.example"])), Change::None);
    }

    proptest! {
        #[test]
        fn no_properties_make_it_panic(text in "(?s).{0,200}") {
            change(&text, &origins(&["https://a.example"]));
        }
    }
}
