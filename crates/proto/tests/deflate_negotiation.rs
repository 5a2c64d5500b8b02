//! permessage-deflate in the opening handshake: who offers what, and what comes back (RFC 7692 §5, §7.1).

mod deflate_support;

use deflate_support::{agree, headers};
use http::HeaderMap;
use sockeye_proto::Role;
use sockeye_proto::deflate::{Compression, NegotiationError, accept, offer, verify};

/// What a server answers to these headers.
fn answer(offers: &[&str], server: &Compression) -> Option<String> {
    let accepted = accept(&headers(offers), server).expect("the headers are in the grammar");
    accepted.map(|(value, _)| value.to_str().unwrap().to_owned())
}

/// The widest server: takeover both ways, all windows of 32 KiB.
fn generous() -> Compression {
    Compression::takeover().window_bits(15)
}

#[test]
fn a_server_that_limits_nothing_grants_what_is_asked_for() {
    for (offer, expected) in [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate ;client_max_window_bits\t", "permessage-deflate"),
        ("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"),
        ("permessage-deflate; client_max_window_bits=15", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=\"10\"", "permessage-deflate; client_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=\"9\"", "permessage-deflate; server_max_window_bits=9"),
        (
            "permessage-deflate; client_max_window_bits=11; server_max_window_bits = 8; client_no_context_takeover; \
             server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8; \
             client_max_window_bits=11",
        ),
    ] {
        assert_eq!(answer(&[offer], &generous()).as_deref(), Some(expected), "{offer}");
    }
}

#[test]
fn every_number_of_bits_from_8_to_15_is_granted_and_no_other() {
    for bits in 0..=20 {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            for value in [format!("{bits}"), format!("\"{bits}\"")] {
                let offer = format!("permessage-deflate; {name}={value}");
                assert_eq!(answer(&[&offer], &generous()).is_some(), (8..=15).contains(&bits), "{offer}");
            }
        }
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        if let Some((_, params)) = accept(&headers(&[&offer]), &generous()).unwrap() {
            assert_eq!(params.window_bits(Role::Server), bits);
            assert_eq!(params.window_bits(Role::Client), 15);
        }
    }
}

#[test]
fn a_server_says_so_when_it_limits_itself_or_the_client() {
    let bare = "permessage-deflate";
    let chromium = "permessage-deflate; client_max_window_bits";
    let alone = Compression::no_takeover();
    for (offer, server, expected) in [
        (
            bare,
            alone,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        (
            chromium,
            alone,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        (chromium, generous().peer_window_bits(10), "permessage-deflate; client_max_window_bits=10"),
        // Without client_max_window_bits in the offer it must not be in the answer.
        (bare, generous().peer_window_bits(10), "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits=9",
            generous().peer_window_bits(10),
            "permessage-deflate; client_max_window_bits=9",
        ),
        (
            "permessage-deflate; server_max_window_bits=14",
            generous().window_bits(11),
            "permessage-deflate; server_max_window_bits=11",
        ),
        (
            "permessage-deflate; server_max_window_bits=9",
            generous().window_bits(11),
            "permessage-deflate; server_max_window_bits=9",
        ),
        (bare, generous().context_takeover(false), "permessage-deflate; server_no_context_takeover"),
        (bare, generous().peer_context_takeover(false), "permessage-deflate; client_no_context_takeover"),
    ] {
        assert_eq!(answer(&[offer], &server).as_deref(), Some(expected), "{offer}");
    }
}

#[test]
fn an_offer_that_makes_no_sense_is_declined() {
    for offer in [
        "permessage-deflate; unknown",
        "permessage-deflate; unknown=1",
        "permessage-deflate; Server_No_Context_Takeover",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover=\"1\"",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=0",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=015",
        "permessage-deflate; server_max_window_bits=+10",
        "permessage-deflate; server_max_window_bits=-10",
        "permessage-deflate; server_max_window_bits=1e1",
        "permessage-deflate; server_max_window_bits=10.0",
        "permessage-deflate; server_max_window_bits=4294967297",
        "permessage-deflate; server_max_window_bits=18446744073709551626",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=\"010\"",
        "permessage-deflate; client_max_window_bits=x",
        "PerMessage-Deflate",
        "x-webkit-deflate-frame",
        "",
    ] {
        assert_eq!(answer(&[offer], &generous()), None, "{offer}");
    }
    assert_eq!(answer(&[], &generous()), None);
}

#[test]
fn of_several_offers_the_first_acceptable_one_is_taken() {
    let expected = Some("permessage-deflate; server_max_window_bits=10");
    for offers in [
        &["permessage-deflate; server_max_window_bits=10, permessage-deflate"][..],
        &["permessage-deflate; server_max_window_bits=10", "permessage-deflate"],
        &["permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=10"],
        &["permessage-deflate; unknown, x-other; a=\"b\",, permessage-deflate; server_max_window_bits=10"],
        &["x-other", "permessage-deflate; unknown", "permessage-deflate; server_max_window_bits=10,permessage-deflate"],
    ] {
        assert_eq!(answer(offers, &generous()).as_deref(), expected, "{offers:?}");
    }
}

#[test]
fn a_request_that_is_not_in_the_grammar_is_malformed_whatever_else_it_offers_and_whether_or_not_we_compress() {
    for offers in [
        &["permessage-deflate;"][..],
        &["permessage-deflate server_no_context_takeover"],
        &["permessage-deflate; client_max_window_bits="],
        &["permessage-deflate; client_max_window_bits=\"\""],
        &["permessage-deflate; client_max_window_bits=\"10"],
        &["permessage-deflate; client_max_window_bits=1 0"],
        &["permessage-deflate; =10"],
        &["permessage-deflate", "x-other; a=\"b c\""],
    ] {
        for server in [generous(), Compression::OFF] {
            assert_eq!(accept(&headers(offers), &server), Err(NegotiationError::Malformed), "{offers:?}");
        }
        assert_eq!(verify(&headers(offers), &generous()), Err(NegotiationError::Malformed), "{offers:?}");
    }
}

#[test]
fn a_client_offers_what_it_wants() {
    for (client, expected) in [
        (generous(), "permessage-deflate; client_max_window_bits"),
        (
            Compression::no_takeover(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
        ),
        (generous().peer_window_bits(10), "permessage-deflate; server_max_window_bits=10; client_max_window_bits"),
        (generous().context_takeover(false), "permessage-deflate; client_no_context_takeover; client_max_window_bits"),
    ] {
        assert_eq!(offer(&client).unwrap(), expected);
    }
    assert_eq!(offer(&Compression::OFF), None);
}

#[test]
fn a_client_takes_an_answer_to_its_offer() {
    let twelve = Compression::takeover().window_bits(12);
    // answer, client -> does the client, does the server take over; bits of the client, of the server
    for (answer, client, expected) in [
        ("permessage-deflate", generous(), (true, true, 15, 15)),
        ("permessage-deflate", twelve, (true, true, 15, 15)),
        ("permessage-deflate", generous().context_takeover(false), (false, true, 15, 15)),
        ("permessage-deflate; server_no_context_takeover", generous(), (true, false, 15, 15)),
        ("permessage-deflate; client_no_context_takeover", generous(), (false, true, 15, 15)),
        ("permessage-deflate; server_no_context_takeover", Compression::no_takeover(), (false, false, 15, 15)),
        ("permessage-deflate; server_max_window_bits=8", generous(), (true, true, 15, 8)),
        ("permessage-deflate; server_max_window_bits=\"10\"", generous().peer_window_bits(10), (true, true, 15, 10)),
        ("permessage-deflate; client_max_window_bits=8", generous(), (true, true, 8, 15)),
        ("permessage-deflate; client_max_window_bits=15", generous(), (true, true, 15, 15)),
        ("permessage-deflate; client_max_window_bits=12", twelve, (true, true, 12, 15)),
        // More than we want is granted: what we use of it is the deflater's business.
        ("permessage-deflate; client_max_window_bits=15", twelve, (true, true, 15, 15)),
        ("permessage-deflate; client_max_window_bits=9", twelve, (true, true, 9, 15)),
        (",permessage-deflate,", generous(), (true, true, 15, 15)),
    ] {
        let params = verify(&headers(&[answer]), &client).unwrap_or_else(|error| panic!("{answer}: {error}"));
        let params = params.expect("there is an answer");
        let got = (
            params.takeover(Role::Client),
            params.takeover(Role::Server),
            params.window_bits(Role::Client),
            params.window_bits(Role::Server),
        );
        assert_eq!(got, expected, "{answer}");
    }
    for client in [generous(), Compression::OFF] {
        assert_eq!(verify(&HeaderMap::new(), &client), Ok(None));
        assert_eq!(verify(&headers(&[""]), &client), Ok(None));
    }
}

#[test]
fn a_client_refuses_what_is_no_answer_to_its_offer() {
    use NegotiationError::{NotOffered, Parameter, Several, UnknownParameter};
    for (answers, client, expected) in [
        (&["x-other"][..], generous(), NotOffered),
        (&["permessage-deflate, x-other"], generous(), NotOffered),
        (&["Permessage-Deflate"], generous(), NotOffered),
        (&["permessage-deflate"], Compression::OFF, NotOffered),
        (&["permessage-deflate, permessage-deflate"], generous(), Several),
        (&["permessage-deflate", "permessage-deflate"], generous(), Several),
        (&["permessage-deflate; unknown"], generous(), UnknownParameter),
        (&["permessage-deflate; client_max_window_bits"], generous(), Parameter("client_max_window_bits")),
        (&["permessage-deflate; client_max_window_bits=7"], generous(), Parameter("client_max_window_bits")),
        (&["permessage-deflate; client_max_window_bits=16"], generous(), Parameter("client_max_window_bits")),
        (&["permessage-deflate; client_max_window_bits=010"], generous(), Parameter("client_max_window_bits")),
        (&["permessage-deflate; server_max_window_bits"], generous(), Parameter("server_max_window_bits")),
        (&["permessage-deflate; server_max_window_bits=16"], generous(), Parameter("server_max_window_bits")),
        (&["permessage-deflate; server_max_window_bits=08"], generous(), Parameter("server_max_window_bits")),
        (
            &["permessage-deflate; server_max_window_bits=10; server_max_window_bits=10"],
            generous(),
            Parameter("server_max_window_bits"),
        ),
        (
            &["permessage-deflate; server_max_window_bits=11"],
            generous().peer_window_bits(10),
            Parameter("server_max_window_bits"),
        ),
        (&["permessage-deflate"], generous().peer_window_bits(10), Parameter("server_max_window_bits")),
        (&["permessage-deflate"], Compression::no_takeover(), Parameter("server_no_context_takeover")),
        (&["permessage-deflate; server_no_context_takeover=1"], generous(), Parameter("server_no_context_takeover")),
        (
            &["permessage-deflate; client_no_context_takeover; client_no_context_takeover"],
            generous(),
            Parameter("client_no_context_takeover"),
        ),
    ] {
        assert_eq!(verify(&headers(answers), &client), Err(expected), "{answers:?}");
    }
}

#[test]
fn whatever_two_ends_want_they_understand_the_same_by_their_agreement() {
    let all = || {
        let takeovers = [(false, false), (false, true), (true, false), (true, true)];
        let bits = [8, 9, 12, 15];
        takeovers.into_iter().flat_map(move |(ours, peers)| {
            let on = Compression::no_takeover().context_takeover(ours).peer_context_takeover(peers);
            bits.into_iter().flat_map(move |own| bits.map(|peer| on.window_bits(own).peer_window_bits(peer)))
        })
    };
    for client in all() {
        for server in all() {
            // `agree` compares what the server means with what the client understands.
            let params = agree(&client, &server);
            for role in [Role::Client, Role::Server] {
                assert!((8..=15).contains(&params.window_bits(role)));
            }
        }
    }
}
