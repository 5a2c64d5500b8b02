//! Captures: TCP put together from packets in any order, in any file.
#![expect(clippy::cast_possible_truncation, reason = "captures by hand are short")]

mod support;

use std::time::Duration;

use proptest::prelude::*;
use sockeye_proto::Role::{self, Client, Server};
use sockeye_traffic::capture::Capture;
use sockeye_traffic::{Ending, Event, Note, Piece, Source, What};
use support::{CLIENT, FIN, PLAIN, Pcap, RST, SERVER, SYN, Tcp};

fn read(file: &[u8]) -> Vec<Piece> {
    Capture::new(file).collect()
}

/// What a capture of these segments says, in words: bytes as text, by connection.
fn told(segments: &[Tcp]) -> Vec<String> {
    let packets: Vec<_> = segments.iter().map(Tcp::ethernet).collect();
    read(&PLAIN.file(&packets)).iter().map(tell).collect()
}

fn tell(piece: &Piece) -> String {
    let Piece::Event(Event { connection, what, .. }) = piece else {
        return match piece {
            Piece::Note(note) => note.to_string(),
            Piece::Damage(damage) => damage.to_string(),
            Piece::Event(_) => unreachable!(),
        };
    };
    let what = match what {
        What::Opened(ends) => {
            let joined = if ends.joined { ", joined" } else { "" };
            format!("{} to {}{joined}", ends.client.as_deref().unwrap(), ends.server.as_deref().unwrap())
        }
        What::Bytes { from, bytes, .. } => format!("{from}: {}", String::from_utf8_lossy(bytes)),
        What::Missing { from, bytes } => format!("{from}: {bytes} missing"),
        What::Ended(ending) => ending.to_string(),
    };
    format!("{connection} {what}")
}

fn client(seq: u32, payload: &[u8]) -> Tcp {
    Tcp::new(CLIENT, SERVER, seq, payload)
}

fn server(seq: u32, payload: &[u8]) -> Tcp {
    Tcp::new(SERVER, CLIENT, seq, payload)
}

fn opening() -> [Tcp; 2] {
    [client(99, b"").flags(SYN), server(199, b"").flags(SYN).ack(100)]
}

fn after_opening(segments: impl IntoIterator<Item = Tcp>) -> Vec<Tcp> {
    opening().into_iter().chain(segments).collect()
}

#[test]
fn a_connection_is_followed_from_its_syn_to_its_last_fin() {
    let segments = after_opening([
        client(100, b"GET").ack(200),
        server(200, b"101").ack(103),
        server(203, b"").flags(FIN).ack(103),
        client(103, b"!").flags(FIN).ack(204),
        server(204, b"").ack(105),
    ]);
    assert_eq!(
        told(&segments),
        [
            "1 10.0.0.1:50000 to 10.0.0.2:8080",
            "1 client: GET",
            "1 server: 101",
            "1 client: !",
            "1 closed, by the server first",
        ]
    );
}

#[test]
fn out_of_order_again_and_overlapping_segments_come_out_once_and_in_order() {
    let segments = after_opening([
        client(106, b"ghi"),
        client(100, b"abc"),
        client(100, b"abc"),
        client(102, b"XdeX"),
        client(103, b"def"),
        client(104, b"EFGHIj"),
    ]);
    let said: String = told(&segments).iter().filter_map(|line| line.strip_prefix("1 client: ")).collect();
    // What came first counts: nobody can know what the receiver took.
    assert_eq!(said, "abcdeXghij");
}

#[test]
fn sequence_numbers_may_begin_anew_at_zero() {
    let segments =
        [client(u32::MAX - 2, b"").flags(SYN), client(u32::MAX, b"bc"), client(u32::MAX - 1, b"a"), client(1, b"d")];
    assert_eq!(told(&segments)[1..], ["1 client: a", "1 client: bc", "1 client: d"]);
}

#[test]
fn what_the_capture_has_not_seen_is_a_gap_and_the_rest_goes_on() {
    let mut segments = after_opening([client(100, b"abc"), client(110, b"klm"), server(200, b"ok").ack(113)]);
    segments.extend((0..20).map(|i| client(113 + i, b".").ack(202)));
    let told = told(&segments);
    assert_eq!(told[1..5], ["1 client: abc", "1 server: ok", "1 client: 7 missing", "1 client: klm"]);
    assert_eq!(told.len(), 5 + 20);
}

#[test]
fn at_the_end_of_the_capture_and_at_a_reset_what_waits_is_given() {
    assert_eq!(told(&after_opening([client(105, b"f")]))[1..], ["1 client: 5 missing", "1 client: f"]);
    let reset = after_opening([client(105, b"f"), server(200, b"").flags(RST)]);
    assert_eq!(told(&reset)[1..], ["1 client: 5 missing", "1 client: f", "1 reset by the server"]);
}

#[test]
fn several_connections_are_told_apart_and_the_same_addresses_may_come_again() {
    let other = |seq, payload: &[u8]| Tcp::new("10.0.0.1:50001", SERVER, seq, payload);
    let again = [client(5000, b"").flags(SYN), client(5001, b"again")];
    let segments = after_opening(
        [client(100, b"one"), other(7, b"").flags(SYN), other(8, b"two"), client(103, b"1")].into_iter().chain(again),
    );
    assert_eq!(
        told(&segments),
        [
            "1 10.0.0.1:50000 to 10.0.0.2:8080",
            "1 client: one",
            "2 10.0.0.1:50001 to 10.0.0.2:8080",
            "2 client: two",
            "1 client: 1",
            "1 closed",
            "3 10.0.0.1:50000 to 10.0.0.2:8080",
            "3 client: again",
        ]
    );
}

#[test]
fn where_the_syn_is_missing_the_first_bytes_say_who_the_client_is() {
    for (first, client_is) in [
        (client(1, b"GET / HTTP/1.1"), CLIENT),
        (server(1, b"HTTP/1.1 101"), CLIENT),
        (Tcp::new(SERVER, CLIENT, 1, b"GET / HTTP/1.1"), SERVER),
        (client(1, &[0x81, 0x80, 1, 2, 3, 4]), CLIENT),
        (server(1, &[0x81, 0x00]), CLIENT),
        (client(1, &[0x81, 0x00]), SERVER),
        // By the ports.
        (client(1, b"\xFF\xFF"), CLIENT),
        (server(1, b"\xFF\xFF"), CLIENT),
    ] {
        let expected = format!("1 {client_is} to {}, joined", if client_is == CLIENT { SERVER } else { CLIENT });
        assert_eq!(told(std::slice::from_ref(&first))[0], expected, "{first:?}");
    }
}

#[test]
fn every_link_type_is_read_in_both_formats_both_orders_and_both_units() {
    let segments = after_opening([client(100, b"abc"), server(200, b"def")]);
    let v6 = |tcp: &Tcp| {
        let address = |of: std::net::SocketAddr| {
            let std::net::IpAddr::V4(ip) = of.ip() else { panic!() };
            (ip.to_ipv6_mapped(), of.port()).into()
        };
        Tcp { from: address(tcp.from), to: address(tcp.to), ..tcp.clone() }
    };
    type Wrap = fn(&Tcp) -> Vec<u8>;
    let links: [(u16, Wrap); 9] = [
        (1, Tcp::ethernet),
        (1, |tcp| [&[2u8; 12][..], &[0x81, 0, 0, 7], &tcp.ether_type(), &tcp.ip()].concat()),
        (1, |tcp| [&[2u8; 12][..], &[0x88, 0xA8, 0, 7, 0x81, 0, 0, 8], &tcp.ether_type(), &tcp.ip()].concat()),
        (113, |tcp| [&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0][..], &tcp.ether_type(), &tcp.ip()].concat()),
        (276, |tcp| {
            [&tcp.ether_type()[..], &[0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0], &tcp.ip()].concat()
        }),
        (0, |tcp| [&[if tcp.from.is_ipv4() { 2 } else { 30 }, 0, 0, 0][..], &tcp.ip()].concat()),
        (108, |tcp| [&[0, 0, 0, if tcp.from.is_ipv4() { 2 } else { 24 }][..], &tcp.ip()].concat()),
        (101, Tcp::ip),
        (12, Tcp::ip),
    ];
    for (link, wrap) in links {
        for (big_endian, nanos, is_v6) in (0..8).map(|i| (i & 1 > 0, i & 2 > 0, i & 4 > 0)) {
            let pcap = Pcap { big_endian, nanos, link, ..PLAIN };
            let packets: Vec<_> = segments.iter().map(|tcp| wrap(&if is_v6 { v6(tcp) } else { tcp.clone() })).collect();
            for file in [pcap.file(&packets), pcap.ng_file(&packets)] {
                let pieces = read(&file);
                let told: Vec<_> = pieces.iter().map(tell).collect();
                assert_eq!(told[1..], ["1 client: abc", "1 server: def"], "{pcap:?} {is_v6}");
                let Piece::Event(event) = &pieces[2] else { panic!() };
                assert_eq!(event.time, Duration::from_millis(3), "{pcap:?}");
                let mut source = Source::recognise(file.as_slice()).unwrap().unwrap();
                assert!(matches!(source, Source::Capture(_)) && source.next().is_some());
                let started = source.started().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
                assert_eq!(started, Duration::from_secs(1_795_000_000));
            }
        }
    }
}

#[test]
fn a_clock_that_leaps_over_centuries_stays_within_what_a_recording_can_say() {
    let packets = [client(0, b"").flags(SYN), client(1, b"x")].map(|tcp| tcp.ethernet());
    let mut file = PLAIN.ng_file(&packets);
    // The last blocks are a packet, whose time is behind its type, its length and its interface, and 24 bytes of statistics.
    let packet = file.len() - 24 - (32 + packets[1].len().next_multiple_of(4));
    file[packet + 12..packet + 20].fill(0xFF);
    let [_, Piece::Event(event)] = &read(&file)[..] else { panic!() };
    assert_eq!((event.connection, event.time), (1, Duration::from_nanos(u64::MAX)));
}

#[test]
fn fragments_of_ip_packets_cut_in_part_and_other_link_types_are_noted() {
    let mut fragment = client(100, b"abc").ethernet();
    fragment[20] = 0x20; // More fragments follow.
    let udp = {
        let mut packet = client(100, b"abc").ethernet();
        packet[23] = 17;
        packet
    };
    let file =
        PLAIN.file(&[fragment, udp, vec![1, 2, 3], client(0, b"").flags(SYN).ethernet(), client(1, b"x").ethernet()]);
    let told: Vec<_> = read(&file).iter().map(tell).collect();
    assert_eq!(
        told[1..],
        ["1 client: x", "1 fragment of an IP packet is left out, as none are put together: expect gaps",]
    );

    let packets: Vec<_> =
        after_opening([client(100, &[b'a'; 100]), client(200, b"b")]).iter().map(Tcp::ethernet).collect();
    let told: Vec<_> = read(&Pcap { snaplen: 96, ..PLAIN }.file(&packets)).iter().map(tell).collect();
    assert_eq!(
        told[1..],
        [
            format!("1 client: {}", "a".repeat(38)),
            "1 client: 62 missing".into(),
            "1 client: b".into(),
            "1 packet was captured in part (a snapshot length, as tcpdump -s sets it): expect gaps".into(),
        ]
    );

    let pieces = read(&Pcap { link: 105, ..PLAIN }.file(&packets));
    assert_eq!(pieces, [Piece::Note(Note::Link(4, 105))]);
}

/// A connection in 30 packets.
fn some_packets() -> Vec<Vec<u8>> {
    let data =
        (0..28).map(|i| if i % 2 == 0 { client(100 + i / 2 * 5, b"01234") } else { server(200 + i / 2 * 3, b"abc") });
    after_opening(data).iter().map(Tcp::ethernet).collect()
}

#[test]
fn cut_anywhere_a_capture_gives_what_is_whole_and_names_where_it_ends() {
    let packets = some_packets();
    for file in [PLAIN.file(&packets), PLAIN.ng_file(&packets)] {
        let whole = read(&file);
        for cut in 0..file.len() {
            let mut pieces = read(&file[..cut]);
            if let Some(Piece::Damage(damage)) = pieces.last() {
                assert!(damage.offset <= cut as u64 && damage.why.starts_with("it ends within"), "{damage}");
                pieces.pop();
            } else {
                // At the edge of a packet it is a capture that was ended there.
                let next = &file[cut..];
                assert!(next.len() >= 16, "{cut}");
            }
            assert_eq!(pieces, whole[..pieces.len()], "cut at {cut}");
        }
    }
}

#[test]
fn what_is_no_capture_and_what_claims_too_much_is_told() {
    let said = |file: &[u8]| read(file).iter().map(tell).collect::<Vec<_>>();
    assert_eq!(said(b""), ["byte 0: it ends within its header"]);
    assert_eq!(said(b"\xD4\xC3\xB2\xA1\x02\x00"), ["byte 0: it ends within its header"]);
    assert_eq!(said(&[7; 100]), ["byte 0: it has no header of a pcap or pcapng"]);
    let mut huge = PLAIN.file(&[vec![0; 60]]);
    huge[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    huge.resize(40 << 20, 0);
    assert_eq!(said(&huge), ["byte 24: a packet of more than 16777216 bytes: its length is damaged"]);
    let mut lengths = PLAIN.ng_file(&[vec![0; 60]]);
    let end = lengths.len() - 24 - 1;
    lengths[end - 3] ^= 1;
    assert_eq!(said(&lengths).last().unwrap(), "byte 76: a block that cannot be read: its lengths do not agree");
    for (start, expected) in [
        (b"\x1F\x8B\x08\x00".as_slice(), "byte 0: compressed with gzip: give gunzip's output to sockeye inspect -"),
        (
            b"\x34\xCD\xB2\xA1",
            "byte 0: a pcap of the modified kind of 1999, which is not read; tcpdump or editcap convert it",
        ),
    ] {
        let pieces: Vec<_> = Source::recognise(start).unwrap().unwrap().map(|piece| tell(&piece)).collect();
        assert_eq!(pieces, [expected]);
    }
    assert!(Source::recognise(b"\x81\x05Hello".as_slice()).unwrap().is_none());
    // A frame of two bytes is not kept waiting.
    assert_eq!(Source::<&[u8]>::is_begun_by(b"\x81"), Some(false));
    assert_eq!(Source::<&[u8]>::is_begun_by(b"\x0A\x0D"), None);
    assert!(Source::recognise(b"".as_slice()).unwrap().is_none());
}

#[test]
fn many_connections_are_followed_and_too_many_given_up() {
    let packets: Vec<_> = (0..70_000u32)
        .map(|i| {
            let address = format!("10.{}.{}.1:{}", i >> 16, i >> 8 & 0xFF, 1024 + (i & 0xFF));
            Tcp::new(&address, SERVER, 1, b"x").ip()
        })
        .collect();
    let pieces = read(&Pcap { link: 101, ..PLAIN }.file(&packets));
    let given_up = pieces
        .iter()
        .filter(|piece| matches!(piece, Piece::Event(event) if event.what == What::Ended(Ending::GivenUp)));
    assert_eq!(given_up.count(), 8192);
}

/// What each end is said to have sent, gaps as spaces.
fn sent(pieces: &[Piece], role: Role) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Event(Event { what: What::Bytes { from, bytes, .. }, .. }) if *from == role => all.extend(bytes),
            Piece::Event(Event { what: What::Missing { from, bytes }, .. }) if *from == role => {
                all.extend(vec![b' '; *bytes as usize]);
            }
            _ => {}
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packets_lost_late_or_twice_give_the_bytes_that_are_there_in_their_places(
        data in prop::collection::vec(1u8..255, 50..600),
        fate in prop::collection::vec(0usize..8, 60),
    ) {
        let data: Vec<u8> = data.into_iter().map(|byte| if byte == b' ' { b'_' } else { byte }).collect();
        let mut packets: Vec<Tcp> = Vec::new();
        let mut lost = data.clone();
        for (i, piece) in data.chunks(11).enumerate() {
            let packet = client(100 + 11 * i as u32, piece);
            match fate[i % fate.len()] {
                0 => lost[11 * i..11 * i + piece.len()].fill(b' '),
                1 => packets.extend([packet.clone(), packet]),
                2 => packets.insert(packets.len().saturating_sub(1), packet),
                _ => packets.push(packet),
            }
        }
        let packets: Vec<_> = after_opening(packets).iter().map(Tcp::ethernet).collect();
        let pieces = read(&PLAIN.file(&packets));
        // What is lost at the end, nobody can know of.
        let end = lost.iter().rposition(|&byte| byte != b' ').map_or(0, |at| at + 1);
        prop_assert_eq!(sent(&pieces, Client), &lost[..end]);
        prop_assert!(sent(&pieces, Server).is_empty());
    }

    #[test]
    fn any_damage_is_survived(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ng in any::<bool>(),
    ) {
        let packets = some_packets();
        let mut file = if ng { PLAIN.ng_file(&packets) } else { PLAIN.file(&packets) };
        for (at, byte) in flips {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = read(&file);
        if let Ok(Some(source)) = Source::recognise(file.as_slice()) {
            source.for_each(drop);
        }
    }
}
