package wsconn

import (
	"bytes"

	"wsauth/internal/wsframe"
)

// switching is how a response that opens a WebSocket begins, the version
// apart; any other response is no stream of frames.
const switching = "HTTP/1.1 101 "

// headEnd ends the head of an HTTP response.
const headEnd = "\r\n\r\n"

// A stream follows what a handler sends: the head of its HTTP response, then
// frames.
type stream struct {
	frames  wsframe.Tracker
	status  [len(switching)]byte // how the head begins
	nstatus int
	nend    int  // bytes of headEnd that were last seen
	upgrade bool // the head has passed: frames follow
	broken  bool // no stream of frames: no close frame may be put into it
}

// begun reports whether anything was sent.
func (s *stream) begun() bool { return s.nstatus > 0 }

// boundary reports whether a close frame may stand here.
func (s *stream) boundary() bool { return s.upgrade && !s.broken && s.frames.Boundary() }

// advance takes the next bytes that were sent.
func (s *stream) advance(p []byte) {
	if !s.upgrade {
		p = p[s.advanceHead(p):]
	}
	if !s.broken {
		s.frames.Advance(p)
	}
}

// advanceHead takes what p holds of the response's head and returns how much
// that is.
func (s *stream) advanceHead(p []byte) int {
	for i, b := range p {
		if s.nstatus < len(s.status) {
			s.status[s.nstatus] = b
			s.nstatus++
		}
		switch {
		case b == headEnd[s.nend]:
			s.nend++
		case b == headEnd[0]:
			s.nend = 1
		default:
			s.nend = 0
		}
		if s.nend == len(headEnd) {
			s.upgrade = true
			s.broken = !bytes.Equal(s.status[:], []byte(switching))
			return i + 1
		}
	}
	return len(p)
}

// toBoundary returns how many bytes of p lead to the next place where a close
// frame may stand; where p holds none, len(p) and false.
func (s *stream) toBoundary(p []byte) (int, bool) {
	ahead := *s
	n := 0
	if !ahead.upgrade {
		n = ahead.advanceHead(p)
	}
	if ahead.broken || !ahead.upgrade {
		return len(p), false
	}
	rest, ok := ahead.frames.ToBoundary(p[n:])
	return n + rest, ok
}
