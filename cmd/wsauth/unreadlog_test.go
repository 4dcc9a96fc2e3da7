package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// echoServer starts a backend that echoes messages, and returns its URL.
func echoServer(t *testing.T) string {
	t.Helper()
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}))
	t.Cleanup(b.Close)
	return b.URL
}

// A child is a running "wsauth serve" whose log the test may read.
type child struct {
	client
	t   *testing.T
	cmd *exec.Cmd
	log *bufio.Reader // of its standard error, which is the pipe

	pipe *os.File

	metrics string // address of its metrics, if any
}

// startChild runs "wsauth serve" with a configuration, and reads its log until
// it listens. command is a command line that runs its last arguments.
func startChild(t *testing.T, config string, name string, args ...string) *child {
	t.Helper()
	args = append(args, "serve", "--addr=127.0.0.1:0", "--config=wsauth.yaml", "--data=data")
	c := &child{t: t, cmd: exec.Command(name, args...)}
	c.cmd.Dir = t.TempDir()
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.cmd.Dir, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR"), goRace}
	if err := os.WriteFile(filepath.Join(c.cmd.Dir, "wsauth.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stderr = in
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it may have ended already
		_ = c.cmd.Wait()
		out.Close()
	})
	c.pipe, c.log = out, bufio.NewReaderSize(out, 1<<10)
	if strings.Contains(config, "metrics:") {
		c.metrics = metricsOf.FindStringSubmatch(c.logged("metrics and health"))[1]
	}
	line := c.logged("listening")
	c.url = urlOf.FindStringSubmatch(line)[1]
	c.http = &http.Client{Timeout: patience}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// logged reads the log up to the line that contains text, and returns that
// line.
func (c *child) logged(text string) string {
	c.t.Helper()
	for {
		line, err := c.log.ReadString('\n')
		if strings.Contains(line, text) {
			return line
		}
		if err != nil {
			c.t.Fatalf("the log ends without %q: %v", text, err)
		}
	}
}

// operate runs a command for operators, such as "revoke --user=test".
func (c *child) operate(args ...string) error {
	cmd := exec.CommandContext(c.t.Context(), "wsauth", append(args, "--admin-socket=data/admin.sock")...)
	cmd.Dir, cmd.Env = c.cmd.Dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.cmd.Dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("wsauth %v: %w: %s", args, err, out)
	}
	return nil
}

// requestWithoutToken makes n requests without a token, which the server
// refuses.
func (c *child) requestWithoutToken(n int) {
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
			if err != nil {
				c.t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			in := bufio.NewReader(conn)
			for range n / 4 {
				if _, err := io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: x\r\nUser-Agent: "+strings.Repeat("a", 200)+"\r\n\r\n"); err != nil {
					c.t.Error(err)
					return
				}
				resp, err := http.ReadResponse(in, nil)
				if err != nil || resp.StatusCode != http.StatusUnauthorized {
					c.t.Errorf("a request without a token: %v, %v", resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
			}
		})
	}
	all.Wait()
}

// openSocket logs in and opens a socket, which stays open until the test ends.
func openSocket(t *testing.T, c *child) {
	t.Helper()
	if err := c.login(t.Context(), []string{"test", "test"}); err != nil {
		t.Fatal(err)
	}
	conn, _, err := websocket.Dial(t.Context(), c.url+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + c.access}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	c.conn = conn
}

// TestG13_LogThatNobodyReads checks that a full pipe blocks nothing: sockets,
// health checks, logins and the operators' commands work. When the log is read
// again, it has all audit lines, and the number of lines that were lost.
func TestG13_LogThatNobodyReads(t *testing.T) {
	c := startChild(t, fmt.Sprintf("insecure_demo_user: true\nlog: {access: true, refusals_per_second: 0}\nroutes: [{path: /, upstream: '%s', refusal: close}]\n", echoServer(t)), "wsauth")
	openSocket(t, c)
	c.requestWithoutToken(6000) // 3 MB of lines
	if err := c.echoed(t.Context(), nil); err != nil {
		t.Fatal("no echo: ", err)
	}
	if err := c.get(t.Context(), []string{"/livez", "200"}); err != nil {
		t.Error(err)
	}
	if err := c.login(t.Context(), []string{"test", "test"}); err != nil {
		t.Error(err)
	}
	if err := c.operate("revoke", "--user=test"); err != nil {
		t.Error(err)
	}
	if err := c.closed(t.Context(), []string{"3000", "session_ended"}); err != nil {
		t.Error(err)
	}
	if line := c.logged("admin: revoked"); !strings.Contains(line, "id=test") {
		t.Error(line)
	}
	if line := c.logged("log lines were dropped"); !strings.Contains(line, "ordinary=0") || !strings.Contains(line, "audit=0") || strings.Contains(line, "refusal=0") {
		t.Error(line)
	}
}

// TestG13_LogWhoseReaderIsGone checks that the server continues when the log's
// reader has ended. Lines are dropped and counted.
func TestG13_LogWhoseReaderIsGone(t *testing.T) {
	c := startChild(t, fmt.Sprintf("insecure_demo_user: true\nmetrics: {listen: '127.0.0.1:0'}\nroutes: [{path: /, upstream: '%s'}]\n", echoServer(t)), "wsauth")
	openSocket(t, c)
	c.pipe.Close()
	c.requestWithoutToken(8)
	if err := c.echoed(t.Context(), nil); err != nil {
		t.Fatal("no echo: ", err)
	}
	if err := c.operate("revoke", "--user=test"); err != nil {
		t.Error(err)
	}
	if err := c.closed(t.Context(), []string{"3000", "session_ended"}); err != nil {
		t.Error(err)
	}
	resp, err := c.http.Get(c.metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if want := `wsauth_log_lines_dropped_total{class="refusal"} 8` + "\n"; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("the figures lack %q: %v", want, err)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestG13_EndWithALogThatNobodyReads checks that the server still stops within
// seconds.
func TestG13_EndWithALogThatNobodyReads(t *testing.T) {
	c := startChild(t, "log: {refusals_per_second: 0}\nroutes: [{path: /, upstream: 'http://127.0.0.1:1'}]\n", "wsauth")
	c.requestWithoutToken(2000)
	started := time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10*time.Second + 2*stderrTimeout):
		t.Fatalf("the server still runs %v after SIGTERM", time.Since(started))
	}
}

// TestG14_Refusals checks that by default, 100 refusals are logged per second,
// and that one line counts the others.
func TestG14_Refusals(t *testing.T) {
	c := startChild(t, "routes: [{path: /, upstream: 'http://127.0.0.1:1'}]\n", "wsauth")
	lines := make(chan int)
	go func() {
		n := 0
		for {
			line, err := c.log.ReadString('\n')
			if err != nil {
				t.Errorf("the log ends: %v", err)
			}
			if err != nil || strings.Contains(line, "refusals were not logged separately") {
				lines <- n
				return
			}
			if strings.Contains(line, "reason=token_missing") {
				n++
			}
		}
	}()
	c.requestWithoutToken(2000)
	if n := <-lines; n < 100 || n > 1000 { // a slow machine may need several seconds
		t.Errorf("%d lines before one reports missing lines", n)
	}
}
