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

// A phase is what a lane does with the bytes that come.
type phase uint8

const (
	flowing   phase = iota // passes on what breaks no rule
	muted                  // passes on nothing more; its end is to be told
	finishing              // passes on the rest of the frame that has begun
	cutting                // passes on nothing, not even that
	last                   // writes the last words
	dropping               // the destination was told the end
)

// room is how many bytes a driver leaves free before those that it reads, for
// the beginning of a head that was held back.
const room = wsframe.MaxHead - 1

// A lane is one direction of a tunnel.
type lane struct {
	check wsframe.Checker
	first []byte // to be taken before the source is read
	bytes int64

	held  [room]byte // the beginning of a head, which waits for its rest
	nheld uint8

	phase   phase
	ended   bool // the source sends nothing more
	flight  bool // a driver is writing wait, and will tell how much it wrote
	trim    bool // of wait, only the frame that has begun goes out
	shutDue bool // the destination is to be told the end

	wait    []byte          // what the destination has not taken yet
	out     wsframe.Tracker // where the destination stands, if wait is not empty or the lane does not flow
	since   time.Duration   // when the destination last took something, or wait came
	goodbye []byte          // the close frame that the lane ends with
}

// position is where the destination stands.
func (l *lane) position() wsframe.Tracker {
	if len(l.wait) == 0 && l.phase <= muted {
		return l.check.Tracker()
	}
	return l.out
}

// enter changes the phase.
func (l *lane) enter(p phase) {
	l.out = l.position()
	l.phase = p
}

// take decides what of p, the next bytes of the source, waits for the
// destination. They begin at buf[room].
func (l *lane) take(buf []byte, n int, now time.Duration) *wsframe.Fault {
	switch l.phase {
	case flowing:
		p := buf[room-int(l.nheld) : room+n]
		copy(p, l.held[:l.nheld])
		l.out = l.check.Tracker()
		pass, fault := l.check.Check(p, now)
		for n := l.check.Skip(); n > 0 && fault == nil; n = l.check.Skip() {
			p = append(p[:pass], p[pass+n:]...)
			var more int
			more, fault = l.check.Check(p[pass:], now)
			pass += more
		}
		l.hold(p[:pass], now)
		l.nheld = 0
		if fault == nil && !l.check.Closed() {
			l.nheld = uint8(copy(l.held[:], p[pass:]))
		}
		return fault
	case finishing:
		p := buf[room : room+n]
		rest, _ := l.out.ToBoundary(p)
		l.hold(p[:rest], now)
	}
	return nil
}

// startsWithPong reports whether the next bytes of the source, the first of
// which is given, begin with a pong.
func (l *lane) startsWithPong(first byte) bool {
	if l.nheld > 0 {
		first = l.held[0]
	}
	return l.phase == flowing && l.check.StartsWithPong(first)
}

func (l *lane) hold(p []byte, now time.Duration) {
	l.wait, l.since = p, now
	l.bytes += int64(len(p))
}

// wants reports whether the source is to be read.
func (l *lane) wants() bool { return !l.ended && len(l.wait) == 0 }

// drop forgets what waits and what was to be said.
func (l *lane) drop() {
	l.enter(dropping)
	l.wait, l.goodbye = nil, nil
}

func (l *lane) traffic() Traffic { return Traffic{l.bytes, l.check.Messages()} }
