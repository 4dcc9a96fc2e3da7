package gateway

import (
	"errors"
	"net"
	"os"
	"time"

	"wsauth"
)

// lookAfter is how long an upstream may take to answer a handshake before the gateway looks whether the client is there yet.
const lookAfter = time.Second

// watchClient ends the session of a client that hangs up while the upstream is asked for its socket: nobody wants the answer any more.
// It reads, so stop must be called before somebody else does; it reports whether the client has sent something, which it must not do
// yet (RFC 6455 section 4.1).
func watchClient(conn net.Conn, session *wsauth.Session) (stop func() (early bool)) {
	done, early := make(chan struct{}), false
	timer := time.AfterFunc(lookAfter, func() {
		defer close(done)
		var one [1]byte
		n, err := conn.Read(one[:])
		early = n > 0
		if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
			session.End(&wsauth.EndError{Code: 1000, Reason: "closed", Err: err})
		}
	})
	return func() bool {
		if timer.Stop() {
			return false
		}
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-done
		_ = conn.SetReadDeadline(time.Time{})
		return early
	}
}
