package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/logintest"
)

// A storm runs everything that can happen to a gateway at the same time.
type storm struct {
	*rig
	operator *operator
	plain    *http.Client // without cookies
	users    []atomic.Pointer[string]
	done     chan struct{} // closed to end the test
	workers  sync.WaitGroup
	ends     sync.Map // reasons of ends, as strings
	opened   atomic.Int64
}

// TestEverythingAtOnce checks that every answer and end has a reason, and that
// nothing is left, while routes change, users log in, renew and are revoked,
// and clients open sockets, send messages and leave. Finally the gateway
// drains.
func TestEverythingAtOnce(t *testing.T) {
	b, other := newBackend(t), newBackend(t)
	routes := func(choice int) []proxy.Route {
		claims := []map[string][]string{nil, {"fresh": {"true"}}}[choice%2]
		all := []proxy.Route{
			{Path: "/", Upstreams: []string{[]string{b.URL, other.URL}[choice/2%2]}, Claims: claims},
			{Path: "/close/", Upstreams: []string{b.URL}, Refusal: wsauth.RefuseClose},
			{Path: "/first/", Upstreams: []string{b.URL, other.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}},
		}
		return append(all, []proxy.Route{{Path: "/removed/", Upstreams: []string{b.URL}}}[:choice/4%2]...)
	}
	s := &storm{
		rig: start(t, func(c *Config) {
			c.Routes, c.Login.Users, c.Limits.PerSubject, c.Front.Drain, c.AccessLog = routes(7), anyone, 10, 8*time.Second, true
			c.Login.LoginsPerHour = -1
		}),
		plain: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second},
		users: make([]atomic.Pointer[string], 4),
		done:  make(chan struct{}),
	}
	s.operator = s.rig.operator()
	for i := range s.users {
		none := "no-token-yet"
		s.users[i].Store(&none)
		next := s.userActions(i)
		s.work(i, func(*rand.Rand) { next() })
	}
	for i := range 6 {
		s.work(100+i, s.visit)
	}
	s.work(200, s.operate)

	dice := rand.New(rand.NewPCG(5, 300))
	deadline := time.Now().Add(30 * time.Second)
	for n := 0; n < 250 || !s.hasSeenEnough() && time.Now().Before(deadline); n++ {
		if err := s.g.Update(routes(dice.IntN(8))); err != nil {
			t.Error(err)
		}
		s.metrics()
	}
	drained := make(chan error)
	go func() { drained <- s.g.guard.Drain(t.Context()) }()
	for waiting := true; waiting; {
		select {
		case err := <-drained:
			waiting = false
			if err != nil {
				t.Error(err)
			}
		default:
			if err := s.g.Update(routes(dice.IntN(8))); err != nil {
				t.Error(err)
			}
		}
	}
	close(s.done)
	s.workers.Wait()
	s.wantNoneLive()
	s.wantBalance()
}

// work calls do until the end of the test. The random choices of do depend only
// on seed.
func (s *storm) work(seed int, do func(dice *rand.Rand)) {
	dice := rand.New(rand.NewPCG(5, uint64(seed)))
	s.workers.Go(func() {
		for {
			select {
			case <-s.done:
				return
			default:
				do(dice)
			}
		}
	})
}

// ask sends a request and checks that the status of the answer is one of the
// allowed ones.
func (s *storm) ask(path, body, credential string, allowed ...int) map[string]any {
	r, err := http.NewRequest(http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.T.Error(err)
		return nil
	}
	r.Header.Set("Content-Type", "application/json")
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	resp, err := s.plain.Do(r)
	if err != nil {
		s.T.Error(err)
		return nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	var answer map[string]any
	if err != nil || len(text) > 0 && json.Unmarshal(text, &answer) != nil {
		s.T.Errorf("%s: got %q, %v", path, text, err)
	}
	for _, status := range allowed {
		if resp.StatusCode == status {
			return answer
		}
	}
	s.T.Errorf("%s: %d %s", path, resp.StatusCode, text)
	return nil
}

// userActions returns a function that makes the next request of a user. The
// user logs in, renews the session until it ends or the user ends it, and logs
// in again.
func (s *storm) userActions(i int) func() {
	refresh, turns := "", 0
	return func() {
		var answer map[string]any
		turns++
		switch {
		case refresh == "":
			answer = s.ask("/auth/login", fmt.Sprintf(`{"username":"u%d","password":"test"}`, i), "", 200, 503)
			if reason := answer["reason"]; answer["access_token"] == nil && reason != "session_ended" { // all sessions were ended meanwhile
				s.T.Errorf("a login was refused: %v", answer)
			}
		case turns%10 == 0:
			s.ask("/auth/logout", "", refresh, 204, 401)
		default:
			answer = s.ask("/auth/refresh", "", refresh, 200, 401)
		}
		refresh, _ = answer["refresh_token"].(string)
		if access, ok := answer["access_token"].(string); ok {
			s.users[i].Store(&access)
		}
	}
}

// visit tries to open a socket. It then closes the socket, disconnects, or
// waits for the end of the socket.
func (s *storm) visit(dice *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	access := *s.users[dice.IntN(len(s.users))].Load()
	path := []string{"/", "/close/", "/first/", "/removed/"}[dice.IntN(4)]
	header := http.Header{"Authorization": {"Bearer " + access}}
	if path == "/first/" {
		header = nil
	}
	conn, resp, err := websocket.Dial(ctx, s.URL+path+"x", &websocket.DialOptions{HTTPHeader: header, HTTPClient: s.plain})
	if err != nil {
		if resp == nil || resp.StatusCode != 401 && resp.StatusCode != 403 && resp.StatusCode != 503 {
			s.T.Errorf("%s: got %v", path, err)
		}
		return
	}
	defer conn.CloseNow()
	s.opened.Add(1)
	if path == "/first/" {
		err = conn.Write(ctx, websocket.MessageText, []byte(`{"type":"auth","token":"`+access+`"}`))
	}
	for n := dice.IntN(20); err == nil && n > 0; n-- {
		if err = conn.Write(ctx, websocket.MessageText, []byte("hello")); err == nil {
			_, _, err = conn.Read(ctx)
		}
	}
	switch choice := dice.IntN(3); {
	case err == nil && choice == 0:
		return // disconnects
	case err == nil && choice == 1:
		_ = conn.Close(websocket.StatusNormalClosure, "")
		return
	case err == nil: // until the server ends it
		_, _, err = conn.Read(ctx)
	}
	s.checkEnd(ctx, path, conn, err)
}

// checkEnd checks that a socket ended with one of the possible close codes. err
// is the error of the last read or write. After a failed write, a read returns
// the close frame.
func (s *storm) checkEnd(ctx context.Context, path string, conn *websocket.Conn, err error) {
	for range 100 { // messages may precede the close frame
		if _, ok := errors.AsType[websocket.CloseError](err); ok {
			break
		}
		if _, _, readErr := conn.Read(ctx); readErr != nil {
			err = readErr
			break
		}
	}
	end, ok := errors.AsType[websocket.CloseError](err)
	if !ok {
		s.T.Errorf("%s: a socket ends without a reason: %v", path, err)
		return
	}
	switch end.Code {
	case wsauth.CloseUnauthorized, wsauth.CloseForbidden, 1012:
		s.ends.Store(end.Reason, true)
	default:
		s.T.Errorf("%s: %v", path, end)
	}
}

// operate sends a random request to the API for operators.
func (s *storm) operate(dice *rand.Rand) {
	user := fmt.Sprintf(`"u%d"`, dice.IntN(len(s.users)))
	var e logintest.Answer
	switch dice.IntN(20) {
	case 0:
		e = s.operator.Call("POST", "/v1/revoke", `{"everything":true}`, jsonType)
	case 1, 2, 3:
		e = s.operator.Call("POST", "/v1/revoke", `{"user":`+user+`}`, jsonType)
	case 4:
		e = s.operator.Call("GET", "/v1/sessions/stored?user="+strings.Trim(user, `"`), "")
	case 5:
		e = s.operator.Call("GET", "/v1/status", "")
	default:
		e = s.operator.Call("GET", "/v1/sockets", "")
	}
	if e.StatusCode != http.StatusOK {
		s.T.Errorf("an operator: %d %s", e.StatusCode, e.Text)
	}
}

// wantedEnds lists reasons that must have occurred.
var wantedEnds = []string{"session_ended", "restarting"}

// hasSeenEnough reports whether sockets have opened, and have ended for each of
// the wanted reasons. The time for that depends on the machine.
func (s *storm) hasSeenEnough() bool {
	for _, reason := range wantedEnds {
		if _, seen := s.ends.Load(reason); !seen {
			return false
		}
	}
	return s.opened.Load() >= 50
}

// wantBalance checks that enough has happened, and that everything that started
// has ended.
func (s *storm) wantBalance() {
	s.T.Helper()
	opened, ended := 0, 0
	for sample, value := range s.metrics() {
		n, _ := strconv.Atoi(value)
		switch {
		case strings.HasPrefix(sample, "sockets{") && n != 0:
			s.T.Errorf("%s is %d", sample, n)
		case strings.HasPrefix(sample, `handshakes_total{outcome="opened"`) && !strings.Contains(sample, `route="/removed/"`):
			opened += n
		case strings.HasPrefix(sample, "sockets_ended_total{") && !strings.Contains(sample, `route="/removed/"`):
			ended += n
		}
	}
	if opened != ended || opened == 0 {
		s.T.Errorf("%d sockets were opened, %d have ended", opened, ended)
	}
	for _, reason := range wantedEnds {
		if _, seen := s.ends.Load(reason); !seen {
			s.T.Errorf("no socket has ended with %s", reason)
		}
	}
	if strings.Contains(s.log.String(), "panic") {
		s.T.Errorf("the log has a panic: %s", s.log)
	}
	s.T.Logf("%d sockets", s.opened.Load())
}
