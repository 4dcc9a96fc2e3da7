package wsauth_test

import (
	"errors"
	"testing"
	"time"

	"wsauth"
)

// TestEndReachesTheClient checks that each end reaches the client as one
// well-formed close frame, with code and reason, at a frame boundary, and that
// the handler returns. It tests all combinations of WebSocket library, use of
// the socket and cause of its end.
func TestEndReachesTheClient(t *testing.T) {
	conditions := []struct {
		name string
		behavior
		slow bool // the client starts to read after the end has started
	}{
		{"idle", behavior{}, false},
		{"flooding", behavior{flood: true}, false},
		{"compressed", behavior{compress: true}, false},
		{"compressed flooding", behavior{flood: true, compress: true}, false},
		{"slow reader", behavior{flood: true}, true},
	}
	causes := []struct {
		name   string
		ttl    time.Duration
		end    func(rig *rig)
		code   int
		reason string
	}{
		{"expiry", 300 * time.Millisecond, func(*rig) {}, 3000, "token_expired"},
		{"End", time.Hour, func(rig *rig) {
			(<-rig.socket).EndWith(&wsauth.EndError{Code: 4001, Reason: "kicked"})
		}, 4001, "kicked"},
		{"Shutdown", time.Hour, func(rig *rig) {
			go rig.shutdown() // while the client reads
		}, 1012, "restarting"},
	}
	for _, l := range libraries {
		for _, condition := range conditions {
			for _, cause := range causes {
				t.Run(l.name+"/"+condition.name+"/"+cause.name, func(t *testing.T) {
					t.Parallel()
					ttl := cause.ttl
					if condition.slow {
						ttl = max(ttl, 3*time.Second) // time to fill the buffers in
					}
					rig := newRig(t, l.make(t, condition.behavior), ttl)
					client := rig.dial(t, condition.compress)
					if condition.slow {
						rig.conn.waitUntilFull(t)
						cause.end(rig)
						<-rig.conn.ending
					} else {
						cause.end(rig)
					}
					code, reason, err := client.ReadClose()
					if err != nil {
						t.Fatalf("the client read %d frames and then: %v", client.Frames, err)
					}
					if code != cause.code || reason != cause.reason {
						t.Errorf("close %d %q, want %d %q", code, reason, cause.code, cause.reason)
					}
					if err := client.AnswerClose(); err != nil {
						t.Errorf("after the close frame: %v", err)
					}
					ended := rig.waitForHandler(t)
					var end *wsauth.EndError
					if !errors.As(ended, &end) || string(end.Reason) != cause.reason || end.Code != cause.code {
						t.Errorf("the handler's context ended with %v", ended)
					}
				})
			}
		}
	}
}
