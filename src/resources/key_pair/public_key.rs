//! OpenSSH public keys, and the fingerprints that AWS makes of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256};

/// A public key that EC2 takes: RSA or ED25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    blob: Vec<u8>,
}

/// What sort of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rsa,
    Ed25519,
}

impl Algorithm {
    const fn word(self) -> &'static str {
        match self {
            Self::Rsa => "ssh-rsa",
            Self::Ed25519 => "ssh-ed25519",
        }
    }
}

impl PublicKey {
    /// Reads an OpenSSH line: algorithm, base64, and a comment that does not count.
    ///
    /// # Errors
    /// What is wrong, and the command that makes it right where there is one.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return Err("this is a private key: name the `.pub` file beside it".to_owned());
        }
        if text.starts_with("-----BEGIN") || text.starts_with("---- BEGIN") {
            return Err(
                "this is not an OpenSSH line: convert it with `ssh-keygen -i -f FILE` (`-m PKCS8` for PEM)".to_owned()
            );
        }
        if text.lines().count() > 1 {
            return Err("a public key is one line, and there are several".to_owned());
        }
        let mut words = text.split_whitespace();
        let algorithm = match words.next() {
            Some("ssh-rsa") => Algorithm::Rsa,
            Some("ssh-ed25519") => Algorithm::Ed25519,
            Some(other) if other.starts_with("ecdsa-") || other.starts_with("sk-") || other == "ssh-dss" => {
                return Err(format!(
                    "EC2 takes RSA and ED25519 keys, not {other}: make one with `ssh-keygen -t ed25519`"
                ));
            }
            _ => return Err("a public key is a line like `ssh-ed25519 AAAA… comment`".to_owned()),
        };
        let blob = words.next().and_then(|word| STANDARD.decode(word).ok()).ok_or("the key's base64 cannot be read")?;
        let key = Self { algorithm, blob };
        if key.is_whole() {
            Ok(key)
        } else {
            Err("the key is cut short or of another algorithm than it says".to_owned())
        }
    }

    /// Whether the blob holds exactly the fields of its algorithm.
    fn is_whole(&self) -> bool {
        let fields = fields(&self.blob);
        let named = |fields: &[&[u8]]| fields.first() == Some(&self.algorithm.word().as_bytes());
        match (self.algorithm, fields) {
            (Algorithm::Rsa, Some(fields)) => fields.len() == 3 && named(&fields),
            (Algorithm::Ed25519, Some(fields)) => {
                fields.len() == 2 && named(&fields) && fields.last().is_some_and(|k| k.len() == 32)
            }
            (_, None) => false,
        }
    }

    /// The line without its comment, as it is imported and compared.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.algorithm.word(), STANDARD.encode(&self.blob))
    }

    /// The fingerprint that AWS shows of this key when it is *imported*: for RSA the MD5 of the DER public key, in 16
    /// colon-separated bytes; for ED25519 the base64 SHA-256
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html>).
    #[must_use]
    pub fn imported_fingerprint(&self) -> String {
        match self.algorithm {
            Algorithm::Ed25519 => STANDARD.encode(Sha256::digest(&self.blob)),
            Algorithm::Rsa => {
                let digest = Md5::digest(subject_public_key_info(&self.blob).unwrap_or_default());
                digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
            }
        }
    }

    /// Whether a listed key is this one. The public key decides where AWS still has it. A fingerprint of 20 bytes is the
    /// SHA-1 of a *private* key that AWS made itself: it says nothing of this key, and no key we import has one.
    #[must_use]
    pub fn is(&self, fingerprint: &str, public_key: Option<&str>) -> bool {
        match public_key.map(Self::read) {
            Some(Ok(listed)) => listed == *self,
            Some(Err(_)) | None => {
                let bare = |text: &str| text.trim_end_matches('=').to_owned();
                bare(fingerprint.trim_start_matches("SHA256:")) == bare(&self.imported_fingerprint())
            }
        }
    }

    /// `RSA` or `ED25519`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Rsa => "RSA",
            Algorithm::Ed25519 => "ED25519",
        }
    }
}

/// The length-prefixed fields of an SSH blob (RFC 4251, section 5); none when lengths and bytes do not agree.
fn fields(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        fields.push(field);
        blob = rest;
    }
    Some(fields)
}

/// An RSA key as X.509's SubjectPublicKeyInfo in DER (RFC 3279, section 2.3.1), from the SSH fields exponent and modulus.
fn subject_public_key_info(blob: &[u8]) -> Option<Vec<u8>> {
    const RSA_ENCRYPTION: [u8; 15] =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let fields = fields(blob)?;
    let (exponent, modulus) = (fields.get(1)?, fields.get(2)?);
    // SSH's integers carry their sign byte as DER's do (RFC 4251, section 5), so the bytes are the same.
    let key = der(0x30, &[der(0x02, modulus), der(0x02, exponent)].concat());
    let bits = der(0x03, &[&[0], key.as_slice()].concat());
    Some(der(0x30, &[RSA_ENCRYPTION.as_slice(), &bits].concat()))
}

/// One DER value: tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length: Vec<u8> = length.iter().copied().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match (content.len(), u8::try_from(content.len())) {
        (0..=127, Ok(short)) => out.push(short),
        _ => {
            out.push(0x80 | u8::try_from(length.len()).unwrap_or(8));
            out.extend(&length);
        }
    }
    out.extend(content);
    out
}
