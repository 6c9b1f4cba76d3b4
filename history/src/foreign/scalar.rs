//! The scalars of EDN: numbers, keywords, symbols, characters, and the escapes in strings.
//!
//! A number that JSON cannot hold exactly stays text: two different integers must never become the
//! same double, for then a wrong answer would look right.

use serde_json::{Number, Value};

/// A token that is no collection, string or character.
pub(super) fn atom(token: &str) -> Result<Value, String> {
    let unsigned = token.strip_prefix(['+', '-']).unwrap_or(token);
    if unsigned.starts_with(|first: char| first.is_ascii_digit()) {
        return number(token).ok_or_else(|| format!("`{}` is not a number", shown(token)));
    }
    match token {
        "nil" => Ok(Value::Null),
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        _ => match token.strip_prefix(':') {
            Some(name) if name.is_empty() || name.starts_with(':') => {
                Err(format!("`{}` is not a keyword such as :read", shown(token)))
            }
            Some(name) => Ok(Value::String(name.to_owned())),
            None if token.starts_with(['^', '\'', '`', '~', '@', '\\']) => {
                Err(format!("`{}` is not a value", shown(token)))
            }
            None => Ok(Value::String(token.to_owned())),
        },
    }
}

/// The start of a token, for a message.
pub(super) fn shown(token: &str) -> &str {
    token.char_indices().nth(40).map_or(token, |(end, _)| &token[..end])
}

fn number(token: &str) -> Option<Value> {
    let token = token.strip_prefix('+').unwrap_or(token);
    let unsigned = token.strip_prefix('-').unwrap_or(token);
    if let Some(hexadecimal) = unsigned.strip_prefix("0x") {
        // As in `#object[java.lang.Object 0x3fa1 "…"]`; the identity of an object, never compared.
        return hexadecimal.bytes().all(|b| b.is_ascii_hexdigit()).then(|| token.into());
    }
    let whole = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if whole > 1 && unsigned.starts_with('0') {
        // Clojure would read an octal number, other programs a decimal one.
        return None;
    }
    match &unsigned[whole..] {
        "" | "N" => Some(integer(token.strip_suffix('N').unwrap_or(token))),
        rest => match rest.strip_prefix('/') {
            Some(below) => is_digits(below).then(|| token.into()),
            None => fraction(token, rest),
        },
    }
}

fn integer(digits: &str) -> Value {
    match (digits.parse::<i64>(), digits.parse::<u64>()) {
        (Ok(number), _) => number.into(),
        (_, Ok(number)) => number.into(),
        _ => digits.into(),
    }
}

/// A number of which `rest` follows the digits of its whole part.
fn fraction(token: &str, rest: &str) -> Option<Value> {
    let decimal = rest.strip_suffix('M');
    let rest = decimal.unwrap_or(rest);
    let (digits, exponent) =
        rest.split_once(['e', 'E']).map_or((rest, None), |(d, e)| (d, Some(e)));
    let digits_fit = digits.is_empty()
        || digits.strip_prefix('.').is_some_and(|after| after.is_empty() || is_digits(after));
    let exponent_fits = exponent
        .is_none_or(|exponent| is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    if !(digits_fit && exponent_fits) {
        return None;
    }
    if decimal.is_some() {
        return Some(token.strip_suffix('M').unwrap_or(token).into());
    }
    let number = token.parse().ok()?;
    Some(Number::from_f64(number).map_or_else(|| token.into(), Value::Number))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The character of which this is the name, without the backslash.
pub(super) fn character(name: &str) -> Option<char> {
    let mut characters = name.chars();
    match (characters.next(), characters.as_str()) {
        (Some(only), "") => Some(only),
        (Some('u'), digits) if digits.len() == 4 => char::from_u32(code(digits, 16)?),
        (Some('o'), digits) if digits.len() <= 3 => char::from_u32(code(digits, 8)?),
        _ => match name {
            "newline" => Some('\n'),
            "space" => Some(' '),
            "tab" => Some('\t'),
            "return" => Some('\r'),
            "backspace" => Some('\u{8}'),
            "formfeed" => Some('\u{c}'),
            _ => None,
        },
    }
}

/// The character that starts with this backslash within a string, and its length in bytes.
pub(super) fn escape(text: &str) -> Option<(char, usize)> {
    let plain = |character| Some((character, 2));
    match text.as_bytes().get(1)? {
        b'n' => plain('\n'),
        b't' => plain('\t'),
        b'r' => plain('\r'),
        b'b' => plain('\u{8}'),
        b'f' => plain('\u{c}'),
        b'"' => plain('"'),
        b'\\' => plain('\\'),
        b'u' => {
            let first = code(text.get(2..6)?, 16)?;
            if !(0xd800..0xdc00).contains(&first) {
                return Some((char::from_u32(first)?, 6));
            }
            // The first half of a character of two halves, as Java keeps them.
            let second = code(text.get(6..12)?.strip_prefix("\\u")?, 16)?;
            let second = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)?, 12))
        }
        b'0'..=b'7' => {
            let digits = text[1..].bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
            Some((char::from_u32(code(&text[1..=digits], 8)?)?, 1 + digits))
        }
        _ => None,
    }
}

/// These digits as a number; unlike the standard parser it takes no sign.
fn code(digits: &str, radix: u32) -> Option<u32> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}
