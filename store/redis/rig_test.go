package redis

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"wsauth/internal/testenv"
	"wsauth/store"
)

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.kill()
		_ = os.RemoveAll(shared.dir)
	}
	// The client closes connections to former servers of a Cluster later.
	later := goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2")
	moved := goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient).redirectOrNew.func1")
	if err := goleak.Find(later, moved); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A server is a redis-server, or a Sentinel, without persistence.
type server struct {
	address  string
	password string
	dir      string
	args     []string
	process  *exec.Cmd
}

// startServer starts a server on a free port, and ends it at the end of the
// test.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{dir: t.TempDir(), args: args}
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

// start starts the server, on its previous port if it had one, and otherwise on
// a free port. If that was taken in the meantime, start tries another one.
func (s *server) start(t testing.TB) {
	t.Helper()
	path := testenv.NeedProgram(t, "redis-server")
	for attempt := range 5 {
		port := freePort(t)
		if s.address != "" {
			_, port, _ = net.SplitHostPort(s.address)
		}
		var options []string
		rest := s.args
		if len(rest) > 0 && !strings.HasPrefix(rest[0], "--") { // a configuration file
			options, rest = rest[:1:1], rest[1:]
		}
		if slices.Contains(rest, "--tls-cert-file") {
			options = append(options, "--port", "0", "--tls-port", port)
		} else {
			options = append(options, "--port", port)
		}
		options = append(options, rest...)
		s.process = exec.Command(path, append(options, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir,
			"--cluster-config-file", "nodes-"+port+".conf", "--daemonize", "no", "--enable-debug-command", "yes")...)
		log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		s.process.Stdout, s.process.Stderr = log, log
		err = s.process.Start()
		_ = log.Close()
		if err != nil {
			t.Fatal(err)
		}
		address := net.JoinHostPort("127.0.0.1", port)
		if listens(address) {
			s.address = address
			return
		}
		s.kill()
		text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		t.Logf("attempt %d: %s", attempt, text)
	}
	t.Fatal("redis-server does not start")
}

// listens waits until something accepts connections at an address.
func listens(address string) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		_ = listener.Close()
		if port < 55000 { // a node of a Cluster listens 10,000 above, too
			return strconv.Itoa(port)
		}
	}
	t.Fatal("no free port")
	return ""
}

// kill ends the process.
func (s *server) kill() {
	if s.process != nil && s.process.Process != nil && s.process.ProcessState == nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
}

// signal sends a signal to the process.
func (s *server) signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// do sends a command to the server and returns the answer as text.
func (s *server) do(t testing.TB, args ...string) string {
	t.Helper()
	answer, err := s.try(args...)
	if err != nil {
		t.Fatalf("%v at %s: %v", args, s.address, err)
	}
	return answer
}

func (s *server) try(args ...string) (string, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.address}, Password: s.password, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := client.Do(ctx, client.B().Arbitrary(args...).Build()).ToAny()
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	return strings.TrimPrefix(fmt.Sprint(answer), "txt:"), err // of a verbatim string
}

// info returns a value of INFO.
func (s *server) info(t testing.TB, name string) string {
	t.Helper()
	return parseInfo(s.do(t, "INFO", "everything"))[name]
}

// shared is a server that tests share, each with a prefix of its own.
var (
	shared   *server
	sharedMu sync.Mutex
)

func sharedServer(t testing.TB) *server {
	t.Helper()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if shared == nil {
		dir, err := os.MkdirTemp("", "wsauth-redis-")
		if err != nil {
			t.Fatal(err)
		}
		s := &server{dir: dir}
		s.start(t)
		shared = s
	}
	return shared
}

var prefixes atomic.Int64

// newPrefix returns a prefix that no other test uses.
func newPrefix() string { return fmt.Sprint("test-", prefixes.Add(1)) }

// config returns a configuration for a server, with a new prefix.
func (s *server) config() Config {
	return Config{Addresses: []string{s.address}, Prefix: newPrefix()}
}

// mustOpen opens a store, and closes it at the end of the test.
func mustOpen(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// logTo returns a logger that writes to a test.
func logTo(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(writer{t}, nil))
}

type writer struct{ testing.TB }

func (w writer) Write(p []byte) (int, error) {
	w.Logf("%s", p)
	return len(p), nil
}

// eventually waits until f returns nil.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// inAnHour returns a revocation of a token.
func inAnHour(id string) store.Revocation {
	return store.Revocation{Target: store.TargetToken, ID: id, Expires: time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()}
}
