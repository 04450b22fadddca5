//! A build request on its way into a container, as one word.
//!
//! The word is JSON, packed and in base64 of letters that no template language gives a meaning to. So nothing that a
//! user has written (the name of a file, a requirement) can be taken for a variable or an expression by the engine that
//! hands it on.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::cloud::BuildRequest;
use crate::{Error, ErrorCode, Result, text};

/// The longest word. Linux takes no argument of a program that is longer than 128 KiB, and Argo hands a template with
/// its arguments to its own programs in one.
const WORD_MOST: usize = 96 << 10;
/// What a word may unpack to.
const UNPACKED_MOST: u64 = 4 << 20;

/// The request as a word.
///
/// # Errors
/// [`ErrorCode::RequestInvalid`] for one that is too long.
pub fn seal(request: &BuildRequest) -> Result<String> {
    let subject = format!("build of {}", request.deployment);
    let failed = |error: std::io::Error| {
        Error::new(ErrorCode::Internal, "a build request could not be packed").on(&subject).caused_by(error)
    };
    let json = serde_json::to_vec(request).map_err(|error| failed(error.into()))?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&json).map_err(failed)?;
    let word = URL_SAFE_NO_PAD.encode(packed.finish().map_err(failed)?);
    if word.len() <= WORD_MOST && json.len() as u64 <= UNPACKED_MOST {
        return Ok(word);
    }
    let (is, most) = (text::bytes(word.len() as u64), text::bytes(WORD_MOST as u64));
    Err(Error::new(ErrorCode::RequestInvalid, format!("packed, the request is {is}, and a workflow takes {most}"))
        .on(subject)
        .with_hint("shorten the requirements; hashes of distributions take the most"))
}

/// Reads a request from a word. It may come from anyone.
///
/// # Errors
/// [`ErrorCode::RequestInvalid`] for what is no request.
pub fn open(word: &str) -> Result<BuildRequest> {
    let invalid = |why: &str| Error::new(ErrorCode::RequestInvalid, why).on("build request");
    if word.len() > WORD_MOST {
        return Err(invalid("it is too long"));
    }
    let packed = URL_SAFE_NO_PAD.decode(word).map_err(|_| invalid("it is no base64"))?;
    let mut json = Vec::new();
    let read = GzDecoder::new(packed.as_slice()).take(UNPACKED_MOST + 1).read_to_end(&mut json);
    read.map_err(|_| invalid("it does not unpack"))?;
    if json.len() as u64 > UNPACKED_MOST {
        return Err(invalid("it unpacks to too much"));
    }
    // What is wrong with it is told without its content.
    serde_json::from_slice(&json).map_err(|_| invalid("it is no build request"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::request;
    use crate::model::RequirementsFile;

    #[test]
    fn a_request_is_read_back_and_its_word_has_no_letters_of_a_template_language() {
        let mut request = request();
        request.requirements = vec![RequirementsFile {
            filename: "{{workflow.name}}".to_owned(),
            contents: "{{=1+1}} $(x) \"'".to_owned(),
        }];
        let word = seal(&request).expect("short");
        assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{word}");
        assert_eq!(open(&word).expect("a request"), request);
    }

    #[test]
    fn a_request_that_no_workflow_takes_is_refused_before_anything_is_made() {
        let mut request = request();
        let hash = |number: u32| crate::model::Digest::of(number.to_string()).hex();
        let lines: Vec<_> = (0..4000).map(|number| format!("a==1 --hash=sha256:{}", hash(number))).collect();
        let lines = lines.join("\n");
        request.requirements = vec![RequirementsFile { filename: "requirements.txt".to_owned(), contents: lines }];
        let error = seal(&request).expect_err("too long");
        assert_eq!(error.code(), ErrorCode::RequestInvalid, "{error}");
    }

    #[test]
    fn what_is_no_request_is_refused_and_a_bomb_is_not_unpacked() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b' '; 50 << 20]).expect("memory takes all");
        let bomb = URL_SAFE_NO_PAD.encode(bomb.finish().expect("memory takes all"));
        assert!(bomb.len() < WORD_MOST);
        let mut nothing = GzEncoder::new(Vec::new(), Compression::best());
        nothing.write_all(b"{}").expect("memory takes all");
        let nothing = URL_SAFE_NO_PAD.encode(nothing.finish().expect("memory takes all"));
        for word in ["", "{{}}", "AAAA", &"A".repeat(200_000), &bomb, &nothing] {
            assert_eq!(open(word).expect_err("no request").code(), ErrorCode::RequestInvalid, "{word:.20}");
        }
    }
}
