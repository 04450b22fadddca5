//! The numbers of Entra ID's errors, and what they mean for a person.

/// The number of an error of Entra ID: `AADSTS700016` ("Microsoft Entra authentication and authorization error codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AadCode(pub(super) u32);

impl AadCode {
    /// The first one in a text.
    pub(crate) fn within(words: &str) -> Option<Self> {
        let (_, rest) = words.split_once("AADSTS")?;
        let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        rest.get(..digits.min(9))?.parse().ok().map(Self)
    }

    /// What it means and what to do. `None` for one that is not known.
    pub(super) const fn meaning(self) -> Option<Meaning> {
        use Meaning as M;
        Some(match self.0 {
            50_020 | 50_034 | 50_128 | 50_194 | 90_002 | 90_072 | 500_011 | 700_016 | 900_023 | 7_000_229 => {
                M::WrongTenant
            }
            7_000_215 | 7_000_218 | 700_027 => M::WrongSecret,
            7_000_222 | 700_082 | 50_173 | 70_043 | 70_044 | 70_008 | 50_078 | 50_132 | 50_133 => M::Expired,
            700_024 | 50_013 => M::Clock,
            70_021 | 700_211 | 700_212 | 700_213 | 700_223 => M::NoFederation,
            7_000_112 | 7_000_114 | 50_057 | 50_105 => M::SwitchedOff,
            50_076 | 50_079 | 50_158 | 53_000 | 53_001 | 53_003 | 65_001 | 50_058 => M::NeedsPerson,
            90_033 | 50_196 | 90_006 | 90_024 | 90_055 | 50_087 => M::Later,
            _ => return None,
        })
    }
}

/// What is wrong, as far as the next step differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    WrongTenant,
    WrongSecret,
    Expired,
    Clock,
    NoFederation,
    SwitchedOff,
    NeedsPerson,
    Later,
}
