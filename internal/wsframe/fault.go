package wsframe

// A Fault is a violation of RFC 6455 or of a limit by a peer, with the code
// and reason of the close frame that reports it.
type Fault struct {
	Code   int
	Reason string // stable, for programs
	Limit  string // the configurable limit that was exceeded, or ""
}

// The faults found by a Checker.
var (
	ProtocolError = &Fault{1002, "protocol_error", ""}
	// Longer than any configuration allows.
	FrameTooLong     = &Fault{1009, "message_too_big", ""}
	FrameTooBig      = &Fault{1009, "message_too_big", "max_frame"}
	MessageTooBig    = &Fault{1009, "message_too_big", "max_message"}
	TooManyFragments = &Fault{1008, "too_many_fragments", "max_fragments"}
	TooManyControls  = &Fault{1008, "too_many_control_frames", ""}
)
