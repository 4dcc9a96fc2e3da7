package gateway

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
)

// loopHeader names the intermediaries that a request has passed (RFC 8586).
const loopHeader = "Cdn-Loop"

// maxRounds is how often a request may come back. A server behind the gateway
// may well call it, for another path, with the fields of the request that it
// answers.
const maxRounds = 4

// A loopGuard recognizes requests that this gateway has already passed on: an
// upstream of a route is the gateway itself, by a name or a server in between
// that the configuration does not show. Without it such a request would go
// round until no descriptor is left.
type loopGuard struct {
	name []string // of this gateway, for others without a meaning
}

func newLoopGuard() loopGuard { return loopGuard{[]string{"wsauth-" + rand.Text()[:12]}} }

// mark notes in h, the header of a request to an upstream, that the request in
// has been here. What others have noted stays.
func (l loopGuard) mark(h http.Header, in *http.Request) {
	before := in.Header[loopHeader]
	if len(before) == 0 {
		h[loopHeader] = l.name
		return
	}
	h[loopHeader] = slices.Concat(before, l.name)
}

// isLoop reports whether r has been here too often.
func (l loopGuard) isLoop(r *http.Request) bool {
	rounds := 0
	for _, line := range r.Header[loopHeader] {
		rounds += strings.Count(line, l.name[0])
	}
	return rounds > maxRounds
}
