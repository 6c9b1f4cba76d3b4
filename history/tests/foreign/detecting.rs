//! Which format some bytes are: by content, and only where it is certain.

use history::{Format, ParseFormatError};

const JSONL: &str = "{\"history\":1,\"workload\":\"kv\"}\n{\"index\":0}\n";
const EDN: &str = "; c\n{:process 0, :type :invoke, :f :read, :value nil}\n";
const TXT: &str = "0\t:invoke\t:read\tnil\n1\t:invoke\t:read\tnil\n";
const LOG: &str = "hello\nINFO  jepsen.util - 0\t:invoke\t:read\tnil\n";
const PORCUPINE: &str = "{:process 3, :type :invoke, :f :get, :key \"0\", :value nil}\n";
const ELLE: &str = "{\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"value\":null}\n";

#[test]
fn each_format_is_told_by_its_first_operation() {
    for (text, format) in [
        (JSONL.to_owned(), Format::Jsonl),
        (EDN.to_owned(), Format::Edn),
        (format!("[{EDN}"), Format::Edn),
        (format!("({EDN}"), Format::Edn),
        ("#jepsen.history.Op{:process 0, :type :ok}".to_owned(), Format::Edn),
        ("{:index 0 :type :invoke  :value [[:append 1 1]]}".to_owned(), Format::Edn),
        ("[{\"type\" :invoke}]".to_owned(), Format::Edn),
        (TXT.to_owned(), Format::Txt),
        (":nemesis\t:info\t:start\tCut off\n".to_owned(), Format::Txt),
        (LOG.to_owned(), Format::Log),
        (PORCUPINE.to_owned(), Format::Porcupine),
        (ELLE.to_owned(), Format::Elle),
        (format!(" [\n{ELLE}"), Format::Elle),
    ] {
        let marked = format!("\u{feff}{text}");
        let crlf = text.replace('\n', "\r\n");
        for text in [text, marked, crlf] {
            assert_eq!(Format::detect(text.as_bytes()), Some(format), "{text}");
        }
    }
}

#[test]
fn what_does_not_tell_is_nothing() {
    for text in [
        "",
        " \n",
        "[]",
        "[{}]",
        "{}",
        "hello\n",
        "{:a 1}",
        "{\"a\":1}",
        "[{\"history\":1}]",
        "{:type :invoke",
        "{\"type\":\"invoke\"",
        "{:type :nothing}",
        "[[[",
        "{:type 3}",
        "0\t:invoke\t:read\n",
        "0\tinvoke\tread\tnil\n",
        "a\tb\tc\td\n",
        "0\t:invoke\t:read\tnil",
        "INFO  jepsen.util - 3 is up\n",
        "{:type :ok :value \"\nINFO  jepsen.util - 0 :invoke :read nil\n",
        "INFO  jepsen.util - 3 :inv\n",
    ] {
        assert_eq!(Format::detect(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Format::detect(b"\x1f\x8b\x08\x00"), None);
    let cut = [EDN.as_bytes(), "\"☺".as_bytes(), b"\xff"].concat();
    for end in EDN.len()..=cut.len() {
        assert_eq!(Format::detect(&cut[..end]), Some(Format::Edn));
    }
    assert_eq!(Format::detect("[".repeat(1_000_000).as_bytes()), None);
}

/// More bytes can turn nothing into a format, never one format into another.
#[test]
fn a_longer_start_never_changes_the_answer() {
    for text in [JSONL, EDN, TXT, LOG, PORCUPINE, ELLE] {
        let whole = Format::detect(text.as_bytes());
        assert!(whole.is_some());
        for end in 0..text.len() {
            let part = Format::detect(&text.as_bytes()[..end]);
            assert!(part.is_none() || part == whole, "{:?}", &text[..end]);
        }
    }
}

#[test]
fn names_are_read_back() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "EDN".parse::<Format>().unwrap_err();
    assert_eq!(error, ParseFormatError("EDN".to_owned()));
    assert!(error.to_string().contains("expected jsonl, edn, txt, log, porcupine or elle"));
}
