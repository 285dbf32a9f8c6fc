//! What a field holds.

use std::net::{IpAddr, Ipv6Addr};

/// What a field holds, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u64),
    Ip(IpAddr),
    Bytes(Vec<u8>),
}

/// Reads what tshark says as the same kind of value.
pub(crate) fn read_as(kind: &Value, text: &str) -> Option<Value> {
    match kind {
        Value::Number(_) => {
            let number = match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => match text {
                    "True" => Some(1),
                    "False" => Some(0),
                    _ => text.parse().ok(),
                },
            };
            number.map(Value::Number)
        }
        Value::Ip(_) => text
            .parse()
            .ok()
            .or_else(|| Some(IpAddr::V6(text.parse::<Ipv6Addr>().ok()?)))
            .map(Value::Ip),
        Value::Bytes(_) if matches!(text, "<none>" | "<MISSING>") => Some(Value::Bytes(Vec::new())),
        Value::Bytes(_) => {
            let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b':').collect();
            let pairs = digits.chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).ok()?;
                u8::from_str_radix(pair, 16).ok()
            });
            pairs.collect::<Option<Vec<u8>>>().map(Value::Bytes)
        }
    }
}
