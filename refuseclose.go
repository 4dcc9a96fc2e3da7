package wsauth

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"wsauth/internal/ratelimit"
	"wsauth/internal/wsconn"
)

// Many clients count an open socket as a success: they reset their backoff and
// reconnect at once. A socket that is opened only to be closed is therefore
// held open at first, for a random time from minHold to maxHold, if the advice
// of its reason is to wait. Any other reason is sent at once, since the client
// can act on it. Reasons sent at once are limited for each network: to
// promptRefusals at first, and then to one per promptEvery.
const (
	minHold        = 3 * time.Second
	maxHold        = 5 * time.Second
	promptRefusals = 5
	promptEvery    = 5 * time.Second
)

// refusalSockets are the sockets that are opened only to be closed with a
// reason.
type refusalSockets struct {
	registry *registry          // counts them
	prompt   *ratelimit.Limiter // of the sockets that are closed at once
}

func newRefusalSockets(r *registry) refusalSockets {
	return refusalSockets{r, ratelimit.New(promptRefusals, promptEvery, maxAddresses)}
}

// open opens a socket and closes it with the code and the reason of e. It does
// nothing and returns false if too many such sockets are open, or if it cannot
// take over the connection.
func (f refusalSockets) open(w http.ResponseWriter, r *http.Request, network string, x *extractors, e *Error) bool {
	if f.registry.reserveRefused(network) != nil {
		return false
	}
	raw, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		f.registry.releaseRefused(network)
		return false
	}
	hold := f.holdFor(e.Reason, network)
	end := &EndError{Code: e.Reason.Outcome().Code, Reason: e.Reason}
	conn := wsconn.New(raw, func() { f.registry.releaseRefused(network) })
	conn.Limit(maxFirstMessage, func() bool { return true }, func() {})
	response := wsconn.NewResponse(conn)
	setUpgradeHeaders(response.Header(), r, x)
	go func() {
		response.WriteHeader(http.StatusSwitchingProtocols)
		if hold > 0 && f.hold(conn, hold) {
			_ = conn.Close()
			return
		}
		conn.End(end, end.frame(), func() {})
	}()
	return true
}

// holdFor returns how long a socket is held open before it is closed with a
// reason.
func (f refusalSockets) holdFor(reason Reason, network string) time.Duration {
	if reason.Outcome().Advice != AdviceWait {
		if wait := f.prompt.Take(network, time.Now()); wait <= 0 {
			return 0
		}
	}
	return minHold + rand.N(maxHold-minHold) //nolint:gosec // spreads the reconnects and is no secret
}

// hold discards what the client sends until d has passed, the client has sent
// its maximum, or the guard drains. It reports whether the client has
// disconnected.
func (f refusalSockets) hold(conn *wsconn.Conn, d time.Duration) (left bool) {
	_ = conn.SetReadDeadline(time.Now().Add(d))
	stop := context.AfterFunc(f.registry.draining, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := io.Copy(io.Discard, conn)
	return err == nil // the client has closed its side
}
