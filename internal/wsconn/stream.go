package wsconn

import (
	"bytes"

	"wsauth/internal/wsframe"
)

// switching is the beginning of a response that opens a WebSocket. Any other
// response is not followed by frames.
const switching = "HTTP/1.1 101 "

// headEnd ends the header of an HTTP response.
const headEnd = "\r\n\r\n"

// A stream follows what a handler sends: the header of its HTTP response, then
// frames.
type stream struct {
	frames  wsframe.Tracker
	status  [len(switching)]byte // beginning of the header
	nstatus int
	nend    int  // number of bytes of headEnd that were just seen
	upgrade bool // the header is complete: frames follow
	broken  bool // not a stream of frames: a close frame cannot be inserted
}

// started reports whether anything was sent.
func (s *stream) started() bool { return s.nstatus > 0 }

// boundary reports whether a close frame can be inserted here.
func (s *stream) boundary() bool { return s.upgrade && !s.broken && s.frames.Boundary() }

// advance consumes bytes that were sent.
func (s *stream) advance(p []byte) {
	if !s.upgrade {
		p = p[s.advanceHead(p):]
	}
	if !s.broken {
		s.frames.Advance(p)
	}
}

// advanceHead consumes the part of p that belongs to the response header, and
// returns its length.
func (s *stream) advanceHead(p []byte) int {
	s.nstatus += copy(s.status[s.nstatus:], p)
	for i := 0; i < len(p); i++ {
		if s.nend == 0 {
			ahead := bytes.IndexByte(p[i:], headEnd[0])
			if ahead < 0 {
				break
			}
			i += ahead
		}
		switch p[i] {
		case headEnd[s.nend]:
			s.nend++
		case headEnd[0]:
			s.nend = 1
		default:
			s.nend = 0
		}
		if s.nend == len(headEnd) {
			s.upgrade = true
			s.broken = string(s.status[:]) != switching
			return i + 1
		}
	}
	return len(p)
}

// toBoundary returns the number of bytes of p up to the next position where a
// close frame can be inserted, or len(p) and false if there is none.
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
