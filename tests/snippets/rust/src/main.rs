mod snippet;

use base64::{engine::general_purpose::STANDARD, Engine};
use http::{HeaderMap, HeaderValue};
use std::panic::catch_unwind;

const NAMES: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

fn main() {
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let fields: Vec<&str> = line.split(':').collect();
        let bytes = |index: usize| STANDARD.decode(fields[index]).expect("base64");
        let mut headers = HeaderMap::new();
        for (index, name) in NAMES.iter().enumerate() {
            if fields[index + 1] != "-" {
                let value = HeaderValue::from_bytes(&bytes(index + 1)).expect("a header value");
                headers.insert(*name, value);
            }
        }
        let secret = String::from_utf8(bytes(0)).expect("text");
        let body = bytes(4);
        match catch_unwind(|| snippet::verify(&secret, &headers, &body).is_ok()) {
            Ok(true) => println!("accepted"),
            Ok(false) => println!("refused Err"),
            Err(_) => println!("refused panic"),
        }
    }
}
