//! Why a patch cannot be applied.

use std::fmt;

use http::StatusCode;

use crate::simulated::kubernetes::status::Status;

/// Why a patch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is no patch of its kind.
    Malformed(String),
    /// It does not fit the object.
    DoesNotFit(String),
    /// It would make more than the server holds.
    TooLarge(String),
}

impl Refusal {
    /// The answer of the API server.
    pub fn status(&self) -> Status {
        match self {
            Self::Malformed(why) => Status::new(StatusCode::BAD_REQUEST, "BadRequest", why),
            Self::DoesNotFit(why) => {
                let message = format!("the server rejected our request due to an error in our request: {why}");
                Status::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            }
            Self::TooLarge(why) => Status::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", why),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Malformed(why) | Self::DoesNotFit(why) | Self::TooLarge(why)) = self;
        formatter.write_str(why)
    }
}
