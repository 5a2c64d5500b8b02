//! Writes a certificate for `localhost` and 127.0.0.1 that nobody has issued, and its key: `certificate CERT.pem
//! KEY.pem`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [certificate, key] = &files[..] else {
        return Err("certificate CERT.pem KEY.pem".into());
    };
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    std::fs::write(certificate, identity.cert.pem())?;
    std::fs::write(key, identity.signing_key.serialize_pem())?;
    Ok(())
}
