//! The closing handshake (RFC 6455 §7.1) as a table: state × event -> state, action.
//!
//! ```text
//!              CloseCalled            CloseArrived           RuleBroken          TransportEnded
//! Open         CloseSent + SendClose  Exchanged + SendClose  Failed + SendClose  Closed
//! CloseSent    –                      Exchanged              Failed              Closed
//! Exchanged    –                      –                      –                   Closed
//! Failed       –                      –                      –                   Closed
//! Closed       –                      –                      –                   –
//! ```
//! A dash: nothing changes. "After sending a control frame indicating the connection should be closed, a peer does not
//! send any further data; after receiving [one], a peer discards any further data received" (§1.4).

/// Where a connection stands on its way from open to closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Data goes both ways.
    Open,
    /// Our Close is on its way, the peer's has not come: its messages still count.
    CloseSent,
    /// Both Close frames have been sent: "the closing handshake" is done, TCP is still to end.
    Exchanged,
    /// The peer broke a rule; our Close says which. What it sends from now on is discarded (§7.1.7).
    Failed,
    /// The transport has ended, too.
    Closed,
}

/// What can happen to a connection that matters for closing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The application asked to close.
    CloseCalled,
    /// The peer's Close frame arrived.
    CloseArrived,
    /// The peer broke a rule or a limit: "_Fail the WebSocket Connection_".
    RuleBroken,
    /// The transport ended, failed, or was given up when the deadline passed.
    TransportEnded,
}

/// What the connection does on a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Queue the one Close frame that this end sends.
    SendClose,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Open, Self::CloseSent, Self::Exchanged, Self::Failed, Self::Closed];

    /// The transition that an event makes.
    #[must_use]
    pub const fn on(self, event: Event) -> (Self, Action) {
        match (self, event) {
            (_, Event::TransportEnded) => (Self::Closed, Action::Nothing),
            (Self::Open, Event::CloseCalled) => (Self::CloseSent, Action::SendClose),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
            //# If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST
            //# send a Close frame in response.
            (Self::Open, Event::CloseArrived) => (Self::Exchanged, Action::SendClose),
            (Self::Open, Event::RuleBroken) => (Self::Failed, Action::SendClose),
            (Self::CloseSent, Event::CloseArrived) => (Self::Exchanged, Action::Nothing),
            (Self::CloseSent, Event::RuleBroken) => (Self::Failed, Action::Nothing),
            (Self::CloseSent, Event::CloseCalled) | (Self::Exchanged | Self::Failed | Self::Closed, _) => {
                (self, Action::Nothing)
            }
        }
    }

    /// Whether what the peer sends is still read, rather than discarded.
    #[must_use]
    pub const fn reads(self) -> bool {
        matches!(self, Self::Open | Self::CloseSent)
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 4] = [Self::CloseCalled, Self::CloseArrived, Self::RuleBroken, Self::TransportEnded];
}

/// The whole table as text, for people and for the test that pins it.
#[must_use]
pub fn table() -> String {
    let mut rows = String::new();
    for state in State::ALL {
        for event in Event::ALL {
            let (next, action) = state.on(event);
            rows += &format!("{state:?} + {event:?} -> {next:?}, {action:?}\n");
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_one_printed_here() {
        let expected = "\
Open + CloseCalled -> CloseSent, SendClose
Open + CloseArrived -> Exchanged, SendClose
Open + RuleBroken -> Failed, SendClose
Open + TransportEnded -> Closed, Nothing
CloseSent + CloseCalled -> CloseSent, Nothing
CloseSent + CloseArrived -> Exchanged, Nothing
CloseSent + RuleBroken -> Failed, Nothing
CloseSent + TransportEnded -> Closed, Nothing
Exchanged + CloseCalled -> Exchanged, Nothing
Exchanged + CloseArrived -> Exchanged, Nothing
Exchanged + RuleBroken -> Exchanged, Nothing
Exchanged + TransportEnded -> Closed, Nothing
Failed + CloseCalled -> Failed, Nothing
Failed + CloseArrived -> Failed, Nothing
Failed + RuleBroken -> Failed, Nothing
Failed + TransportEnded -> Closed, Nothing
Closed + CloseCalled -> Closed, Nothing
Closed + CloseArrived -> Closed, Nothing
Closed + RuleBroken -> Closed, Nothing
Closed + TransportEnded -> Closed, Nothing
";
        assert_eq!(table(), expected);
    }

    #[test]
    fn whatever_happens_one_close_frame_is_sent_at_most() {
        // Five states, four events: after five steps no new state can be reached.
        fn walk(state: State, sent: u32, steps: u32) {
            assert!(sent <= 1);
            if steps > 0 {
                for event in Event::ALL {
                    let (next, action) = state.on(event);
                    walk(next, sent + u32::from(action == Action::SendClose), steps - 1);
                }
            }
        }
        walk(State::Open, 0, 6);
    }
}
