package wsframe

// A Fault is a way in which a peer breaks the rules of RFC 6455, or a bound
// that it was given: the code and the reason of the close frame that tells it.
type Fault struct {
	Code   int
	Reason string // a stable word, for programs
	Limit  string // the key of the route's limit that was passed; empty: none that can be set
}

// The faults that a Checker finds.
var (
	ProtocolError    = &Fault{1002, "protocol_error", ""}
	FrameTooLong     = &Fault{1009, "message_too_big", ""} // longer than any may be
	FrameTooBig      = &Fault{1009, "message_too_big", "max_frame"}
	MessageTooBig    = &Fault{1009, "message_too_big", "max_message"}
	TooManyFragments = &Fault{1008, "too_many_fragments", "max_fragments"}
	TooManyControls  = &Fault{1008, "too_many_control_frames", ""}
)
