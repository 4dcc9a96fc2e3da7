package proxy

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
)

// loopHeader names the intermediaries that a request has passed (RFC 8586).
const loopHeader = "Cdn-Loop"

// MaxRounds is how often a request may return to the gateway. An upstream may
// legitimately request another path from the gateway, with the header fields of
// the request that it is serving.
const MaxRounds = 4

// A loopGuard recognizes requests that this gateway has already forwarded: an
// upstream may be the gateway itself, through a name or a server in between
// that the configuration does not show. Without it, such a request would
// circulate until no file descriptors are left.
type loopGuard struct {
	name []string // identifies this gateway; means nothing to others
}

func newLoopGuard() loopGuard { return loopGuard{[]string{"wsauth-" + rand.Text()[:12]}} }

// mark adds this gateway to the loop header in h, the header of a request to
// an upstream. It keeps the entries of in, the client's request.
func (l loopGuard) mark(h http.Header, in *http.Request) {
	before := in.Header[loopHeader]
	if len(before) == 0 {
		h[loopHeader] = l.name
		return
	}
	h[loopHeader] = slices.Concat(before, l.name)
}

// isLoop reports whether r has passed this gateway too often.
func (l loopGuard) isLoop(r *http.Request) bool {
	rounds := 0
	for _, line := range r.Header[loopHeader] {
		rounds += strings.Count(line, l.name[0])
	}
	return rounds > MaxRounds
}
