package gateway

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/store/storekit"
	"wsauth/token"
)

// TestPause runs this program as a child process with these variables.
const (
	pausedUpstream = "WSAUTH_TEST_PAUSED_UPSTREAM"
	pausedLog      = "WSAUTH_TEST_PAUSED_LOG"
	pausedSecret   = "WSAUTH_TEST_PAUSED_SECRET"
)

func init() {
	if os.Getenv(pausedUpstream) != "" {
		servePaused()
		os.Exit(0)
	}
}

// servePaused serves two gateways whose log of revocations another process
// writes. Event loops carry the sockets of the first. The second serves TLS, so
// goroutines carry its sockets.
func servePaused() {
	for _, overTLS := range []bool{false, true} {
		l, scheme := must(front.Listen(context.Background(), "127.0.0.1:0")), "ws"
		if overTLS {
			s := httptest.NewUnstartedServer(nil)
			s.StartTLS() // to get its certificate
			l, scheme = tls.NewListener(l, &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12}), "wss"
			s.Close()
		}
		g := must(New(Config{
			Tokens: tokens.Config{Keys: must(token.NewKeySet(pausedKey(os.Getenv(pausedSecret))))},
			Login:  login.Config{Users: demo.Users{}},
			Store:  sharedLog{memory.New(store.Limits{}), os.Getenv(pausedLog)},
			Routes: []proxy.Route{{Path: "/", Upstreams: []string{os.Getenv(pausedUpstream)}}},
		}))
		go func() { _ = g.Serve(context.Background(), l) }()
		_, _ = os.Stdout.WriteString(scheme + "://" + l.Addr().String() + "/\n")
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
}

func pausedKey(secret string) *token.Key {
	return must(token.NewKey(token.HS256, must(hex.DecodeString(secret)), token.KeyOptions{}))
}

// A sharedLog is a log of revocations in a file, with one revoked user per
// line.
type sharedLog struct {
	*memory.Store
	file string
}

func (s sharedLog) users() []string {
	text, err := os.ReadFile(s.file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

func (s sharedLog) Read(_ context.Context, after store.Cursor) (store.Page, error) {
	users := s.users()
	var all []store.Revocation
	for _, user := range users[after.Sequence:] {
		all = append(all, store.Revocation{Target: store.TargetSubject, ID: user, Before: time.Now(), Expires: time.Now().Add(time.Hour)})
	}
	prepared, err := storekit.Prepare(time.Now(), all)
	return store.Page{Revocations: prepared, Next: store.Cursor{Epoch: "e", Sequence: uint64(len(users))}, End: true, Now: time.Now(), Known: time.Now()}, err
}

func (s sharedLog) Wait(ctx context.Context, after store.Cursor) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for uint64(len(s.users())) <= after.Sequence {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// TestPause checks a gateway that is stopped for longer than Staleness and then
// continues (D7). It must close no socket because of the pause. It must pass no
// frame of a client whose user was revoked, or whose token expired, during the
// pause.
func TestPause(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 100)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			_, message, err := conn.Read(context.Background())
			if err != nil {
				return
			}
			heard <- string(message)
		}
	}))
	defer upstream.Close()
	log := filepath.Join(t.TempDir(), "log")
	secret := strings.ToLower(hex.EncodeToString([]byte(rand.Text() + rand.Text())))
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), pausedUpstream+"="+upstream.URL, pausedLog+"="+log, pausedSecret+"="+secret)
	in, out := must(child.StdinPipe()), must(child.StdoutPipe())
	defer in.Close()
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	var addresses []string
	for lines := bufio.NewReader(out); len(addresses) < 2; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, strings.TrimSpace(line))
	}
	issuer := must(token.NewIssuer(token.IssuerConfig{Key: pausedKey(secret)}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // loopback
	defer client.CloseIdleConnections()
	dial := func(address, user string, ttl time.Duration) *websocket.Conn {
		t.Helper()
		made, err := issuer.Access(user, token.Options{SessionID: "s-" + user, TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: client, HTTPHeader: http.Header{"Authorization": {"Bearer " + made.Raw}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		return conn
	}
	say := func(conn *websocket.Conn, text string) {
		t.Helper()
		if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	var stay, revoked, expiring []*websocket.Conn
	for _, address := range addresses {
		for range 20 {
			stay = append(stay, dial(address, "bob", time.Hour))
		}
		revoked = append(revoked, dial(address, "ada", time.Hour))
	}
	for _, address := range addresses {
		expiring = append(expiring, dial(address, "eve", 8*time.Second))
	}

	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus // when Wait4 returns, all threads of the child have stopped
	if _, err := syscall.Wait4(child.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the child has not stopped: %v, %v", status, err)
	}
	if err := os.WriteFile(log, []byte("ada\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range addresses {
		say(revoked[i], "from the revoked")
		say(expiring[i], "from the expired")
	}
	time.Sleep(12 * time.Second) // longer than the default of Staleness; the child process has real time
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}

	for _, conn := range stay {
		say(conn, "bob")
	}
	for range stay {
		select {
		case got := <-heard:
			if got != "bob" {
				t.Errorf("the upstream heard %q", got)
			}
		case <-ctx.Done():
			t.Fatal("sockets that should have stayed are silent")
		}
	}
	for i, address := range addresses {
		for conn, want := range map[*websocket.Conn]string{revoked[i]: "session_ended", expiring[i]: "token_expired"} {
			if _, _, err := conn.Read(ctx); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %s", address, err, want)
			}
		}
	}
	select {
	case got := <-heard:
		t.Errorf("the upstream heard %q", got)
	default:
	}
}
