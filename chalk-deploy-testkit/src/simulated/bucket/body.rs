//! The body of a request: unpacked from its chunks, and compared with every digest that came with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::Digest;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode};
use md5::{Digest as _, Md5};

use super::authentication::{SignedBody, hex};
use super::error::S3Error;

/// What makes a checksum of bytes.
type Checksum = fn(&[u8]) -> Vec<u8>;

/// The longest body of one request. S3 takes 5 GiB, but whoever sends that much sends it in parts.
pub(super) const BODY_MOST: usize = 128 << 20;

pub(super) async fn read(stream: ByteStream, headers: &HeaderMap, signed: &SignedBody) -> Result<Bytes, S3Error> {
    let raw = collect(stream, headers).await?;
    let mut trailers = HeaderMap::new();
    let chunked = matches!(signed, SignedBody::Chunks(_))
        || headers.get("content-encoding").is_some_and(|value| value.as_bytes().starts_with(b"aws-chunked"));
    let body = if chunked { unpack(&raw, signed, headers, &mut trailers)? } else { raw };
    if let SignedBody::Whole(sha256) = signed
        && Digest::of(&body).hex() != *sha256
    {
        return Err(S3Error::new(
            StatusCode::BAD_REQUEST,
            "XAmzContentSHA256Mismatch",
            "the provided x-amz-content-sha256 does not match what was computed",
        ));
    }
    let declared = |name: &str| headers.get(name).or_else(|| trailers.get(name)).map(HeaderValue::as_bytes);
    let checks: [(&str, Checksum); 3] = [
        ("content-md5", |bytes| Md5::digest(bytes).to_vec()),
        ("x-amz-checksum-sha256", |bytes| Digest::of(bytes).as_bytes().to_vec()),
        ("x-amz-checksum-crc32", |bytes| crc32(bytes).to_be_bytes().to_vec()),
    ];
    for (name, actual) in checks {
        if declared(name).is_some_and(|declared| declared != STANDARD.encode(actual(&body)).as_bytes()) {
            return Err(S3Error::bad_digest(name));
        }
    }
    Ok(body)
}

async fn collect(mut stream: ByteStream, headers: &HeaderMap) -> Result<Bytes, S3Error> {
    let incomplete = || S3Error::new(StatusCode::BAD_REQUEST, "IncompleteBody", "the body broke off");
    let mut collected = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| incomplete())?;
        if collected.len() + piece.len() > BODY_MOST {
            let message = "a body has 128 MiB at most here; upload in parts";
            return Err(S3Error::new(StatusCode::BAD_REQUEST, "EntityTooLarge", message));
        }
        collected.extend_from_slice(&piece);
    }
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length != collected.len()) {
        return Err(incomplete());
    }
    Ok(collected.into())
}

/// `size;chunk-signature=…`, the bytes, and so on to a chunk of size 0, after which trailers follow.
fn unpack(raw: &[u8], signed: &SignedBody, headers: &HeaderMap, trailers: &mut HeaderMap) -> Result<Bytes, S3Error> {
    let broken = || S3Error::new(StatusCode::BAD_REQUEST, "InvalidChunkSizeError", "the chunks of the body are broken");
    let mut signature = match signed {
        SignedBody::Chunks(Some(key)) => Some(key.clone()),
        _ => None,
    };
    let mut body = Vec::with_capacity(raw.len());
    let mut rest = raw;
    loop {
        let (line, after) = split_line(rest).ok_or_else(broken)?;
        let line = std::str::from_utf8(line).map_err(|_| broken())?;
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| broken())?;
        let (chunk, after) = after.split_at_checked(size).ok_or_else(broken)?;
        if let Some(signature) = &mut signature {
            let given = extension.trim().strip_prefix("chunk-signature=").unwrap_or_default();
            if !signature.verify(chunk, given) {
                return Err(S3Error::new(
                    StatusCode::FORBIDDEN,
                    "SignatureDoesNotMatch",
                    "the signature of a chunk does not match",
                ));
            }
        }
        body.extend_from_slice(chunk);
        rest = after;
        if size == 0 {
            break;
        }
        rest = rest.strip_prefix(b"\r\n").ok_or_else(broken)?;
    }
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        let line = String::from_utf8_lossy(line);
        if let Some((name, value)) = line.split_once(':')
            && let (Ok(name), Ok(value)) = (name.trim().parse::<http::HeaderName>(), value.trim().parse())
        {
            trailers.insert(name, value);
        }
    }
    let length =
        headers.get("x-amz-decoded-content-length").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length != body.len()) {
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "IncompleteBody", "the body is not as long as declared"));
    }
    Ok(body.into())
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

/// The MD5 in hex, which S3 uses as the entity tag.
pub(super) fn md5_hex(bytes: impl AsRef<[u8]>) -> String {
    hex(&Md5::digest(bytes))
}

const CRC32: [u32; 256] = crc32_table();

/// The polynomial of IEEE 802.3, reflected.
#[expect(clippy::cast_possible_truncation, reason = "the index is below 256")]
const fn crc32_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |value: u32, byte: &u8| CRC32[usize::from(value.to_le_bytes()[0] ^ byte)] ^ (value >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_the_known_ones() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn broken_chunks_are_refused() {
        let signed = SignedBody::Chunks(None);
        let unpacked = |raw: &[u8]| unpack(raw, &signed, &HeaderMap::new(), &mut HeaderMap::new());
        assert_eq!(unpacked(b"3\r\nabc\r\n0\r\n\r\n").expect("whole"), "abc");
        for raw in [&b""[..], b"3\r\nab", b"x\r\n", b"3\r\nabcd\r\n0\r\n", b"ffffffffffffffff\r\na", b"3\r\nabc\r\n"] {
            assert_eq!(unpacked(raw).expect_err("broken").code, "InvalidChunkSizeError");
        }
    }
}
