package relay

import (
	"time"

	"wsauth/internal/wsframe"
)

// A side is one of the two connections of a tunnel. A lane is named after the
// side whose bytes it carries.
type side uint8

const (
	client side = iota
	upstream
)

func (s side) other() side { return 1 - s }

// A phase says what a lane does with the bytes of its source.
type phase uint8

const (
	flowing   phase = iota // passes on valid frames
	muted                  // passes on nothing more; the close frame is not known yet
	finishing              // passes on the rest of the current frame
	cutting                // passes on nothing, and drops the current frame
	closing                // writes the close frame
	dropping               // passes on nothing, and the destination is half-closed or lost
)

// headroom is how many bytes a driver leaves free in front of those that it
// reads, for the start of a frame head that was held back.
const headroom = wsframe.MaxHead - 1

// A lane is one direction of a tunnel.
type lane struct {
	check wsframe.Checker
	early []byte // received before the tunnel started; passed on before the source is read
	bytes int64

	held  [headroom]byte // the first nheld bytes of an incomplete frame head
	nheld uint8

	phase        phase
	ended        bool // the source sends nothing more
	inFlight     bool // a driver is writing pending, and will call wrote
	trimPending  bool // only the current frame of pending may be written
	halfCloseDue bool // the driver must half-close the destination
	cut          bool // the driver must close the source now, before the destination
	lost         bool // the destination accepts no more bytes

	pingDue         bool  // a ping goes out at the next boundary; only to the client
	unansweredPings uint8 // since the client last sent something

	pending      []byte          // bytes that the destination has not taken
	out          wsframe.Tracker // position of the destination; see position
	pendingSince time.Duration   // when the destination last took bytes, or pending was set
	closeFrame   []byte          // the close frame that the lane ends with
}

// position returns the destination's position in the stream of frames. out is
// valid only while bytes are pending or after the first two phases.
func (l *lane) position() wsframe.Tracker {
	if len(l.pending) == 0 && l.phase <= muted {
		return l.check.Tracker()
	}
	return l.out
}

// enter sets the phase.
func (l *lane) enter(p phase) {
	l.out = l.position()
	l.phase = p
}

// receive checks the next n bytes of the source, which begin at buf[headroom],
// and sets pending to those that may pass.
func (l *lane) receive(buf []byte, n int, now time.Duration) *wsframe.Fault {
	switch l.phase {
	case flowing:
		p := buf[headroom-int(l.nheld) : headroom+n]
		copy(p, l.held[:l.nheld])
		l.out = l.check.Tracker()
		pass, fault := l.check.Check(p, now)
		for n := l.check.Skip(); n > 0 && fault == nil; n = l.check.Skip() {
			p = append(p[:pass], p[pass+n:]...)
			var more int
			more, fault = l.check.Check(p[pass:], now)
			pass += more
		}
		l.setPending(p[:pass], now)
		l.nheld = 0
		if fault == nil && !l.check.Closed() {
			l.nheld = uint8(copy(l.held[:], p[pass:]))
		}
		return fault
	case finishing:
		p := buf[headroom : headroom+n]
		rest, _ := l.out.ToBoundary(p)
		l.setPending(p[:rest], now)
	}
	return nil
}

// startsWithPong reports whether the next bytes of the source begin with a
// pong. first is the first byte just read.
func (l *lane) startsWithPong(first byte) bool {
	if l.nheld > 0 {
		first = l.held[0]
	}
	return l.phase == flowing && l.check.StartsWithPong(first)
}

func (l *lane) setPending(p []byte, now time.Duration) {
	l.pending, l.pendingSince = p, now
	l.bytes += int64(len(p))
}

// wantsRead reports whether the source may be read.
func (l *lane) wantsRead() bool { return !l.ended && len(l.pending) == 0 }

// ping sets pending to the ping that is due, unless the source is in the
// middle of a frame. It reports whether it did.
func (l *lane) ping(now time.Duration) bool {
	if l.phase != flowing || len(l.pending) > 0 || !l.check.Boundary() || l.check.Closed() {
		return false
	}
	l.out = l.check.Tracker()
	l.pending, l.pendingSince = pingFrame, now
	l.pingDue = false
	l.unansweredPings++
	return true
}

// endWith ends the lane with a close frame, unless it is already ending.
func (l *lane) endWith(frame []byte) {
	if l.phase <= muted {
		l.enter(finishing)
		l.closeFrame = frame
	}
}

// drop discards the pending bytes and the close frame.
func (l *lane) drop() {
	l.enter(dropping)
	l.pending, l.closeFrame = nil, nil
}

func (l *lane) isDone() bool { return l.ended && l.phase == dropping && !l.halfCloseDue }

func (l *lane) traffic() Traffic { return Traffic{l.bytes, l.check.Messages()} }
