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

// To many clients a socket that opens is a success: they forget how often they
// have failed, and come again at once. A socket that is opened to be closed is
// therefore held open for a while first, a random part of the time from
// minHold to maxHold, where waiting is what its reason advises anyway. Other
// reasons are told at once, since their clients can do something about it:
// promptRefusals times to each network, and once more each promptEvery.
const (
	minHold        = 3 * time.Second
	maxHold        = 5 * time.Second
	promptRefusals = 5
	promptEvery    = 5 * time.Second
)

func newPromptRefusals() *ratelimit.Limiter {
	return ratelimit.New(promptRefusals, promptEvery, maxAddresses)
}

// refuseByClose opens the socket and closes it with the code and reason of e.
// It reports whether it could: not where too many such sockets are open.
func (g *Guard) refuseByClose(w http.ResponseWriter, r *http.Request, e *Error) bool {
	network := ratelimit.Network(g.client(r).Addr)
	if g.sockets.reserveRefused(network) != nil {
		return false
	}
	raw, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		g.sockets.releaseRefused(network)
		return false
	}
	hold := g.holdFor(e.Reason, network)
	end := e.Reason.End(nil)
	conn := wsconn.New(raw, func() { g.sockets.releaseRefused(network) })
	conn.Limit(maxFirstMessage, func() bool { return true }, func() {})
	response := wsconn.NewResponse(conn)
	g.agree(response.Header(), r)
	go func() {
		response.WriteHeader(http.StatusSwitchingProtocols)
		if hold > 0 && g.hold(conn, hold) {
			_ = conn.Close()
			return
		}
		conn.End(end, end.frame(), func() {})
	}()
	return true
}

// holdFor returns how long a socket is held open before it is closed for a
// reason.
func (g *Guard) holdFor(reason Reason, network string) time.Duration {
	if reason.Outcome().Advice != AdviceWait {
		if wait := g.promptRefusals.Take(network, time.Now()); wait <= 0 {
			return 0
		}
	}
	return minHold + rand.N(maxHold-minHold) //nolint:gosec // spreads clients, keeps no secret
}

// hold drops what the client sends until d is over, the client has spent its
// budget, or the guard is draining. It reports whether the client has hung up.
func (g *Guard) hold(conn *wsconn.Conn, d time.Duration) (left bool) {
	_ = conn.SetReadDeadline(time.Now().Add(d))
	stop := context.AfterFunc(g.sockets.draining, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := io.Copy(io.Discard, conn)
	return err == nil // the end of the client's stream
}
