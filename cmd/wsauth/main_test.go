package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wsauth": serveMain})
}

// TestScripts runs the scripts, which drive the real command. In addition to
// testscript's own commands, they may use:
//
//	start ARGS…        run "wsauth ARGS…" until it listens, and set $URL and $ADDR.
//	                   The variables named in $EMPTY are set, but empty
//	server NAME        run the following commands with the server NAME. The first
//	                   server has no name
//	redis              start a server of the store that nodes share, at $WSAUTH_STORE
//	signal NAME        send the server TERM, INT, HUP or KILL
//	saw TEXT           wait until the log of the server contains TEXT
//	ended CODE         wait until the server has ended, and check its exit code, which is -1 after a signal. The file "log" then has its log
//	login C USER PASS  log in as the client C. With "!", the server must refuse
//	                   this command or one of the following. The last argument
//	                   is then the HTTP status or close code; default: 401
//	refresh C          exchange the refresh token of C
//	logout C           end the session of C
//	everywhere C       end every session of the user of C
//	bearer C FILE      make the client C use the access token in a file
//	socket [C]         open a socket with the access token of C, or of a new login as test
//	echoed C           check that the server echoes a message on that socket
//	closed [C] CODE REASON
//	                   read the close frame of that socket
//	get [C] PATH STATUS
//	                   request a page with the access token of C, or without a token
//	metrics TEXT       check that the server's metrics contain TEXT
//	ids C              set $JTI and $SID to those of the access token of C
//	cluster            start the nodes a, b and c of a cluster in this process, with
//	                   sockets for operators such as a.sock
//	node NAME          use this node of the cluster for the clients
//	stopnode NAME      stop a node, as if it had been killed
//	operators          set $ADMIN to the URL of the port for operators
//	backend            start a server for the gateway, at $BACKEND
//	readme             write README.md, and its configuration as wsauth.yaml
//	certificate NAME   make NAME.crt and NAME.key, which clients trust
//	shows NAME         check that the server uses NAME.crt
//	mode FILE MODE     check the permissions of a file
//	cutoff FILE N      truncate a file to its first N bytes
//	oldformat FILE     convert a store to the format without checksums
//	exits CODE ARGS…   run "wsauth ARGS…", and check its exit code
//	jsonlines FILE E…  check that the file has the events E as JSON, one per line; the file stdout is the last output
//	secretless         check that the last output contains no token and no ticket
func TestScripts(t *testing.T) { testscript.Run(t, scripts("testdata/script")) }

// scripts returns the parameters with which testscript runs the scripts in a
// folder.
func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Vars = append(e.Vars, "HOME="+home, "XDG_DATA_HOME=", goRace)
			e.Values[serverKey{}] = &servers{current: newProcess(map[string]*client{}, x509.NewCertPool()), named: map[string]*process{}}
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":   func(ts *testscript.TestScript, _ bool, args []string) { theServer(ts).start(ts, args) },
			"signal":  func(ts *testscript.TestScript, _ bool, args []string) { theServer(ts).signal(ts, args[0]) },
			"saw":     func(ts *testscript.TestScript, _ bool, args []string) { theServer(ts).waitForLog(ts, args[0]) },
			"ended":   func(ts *testscript.TestScript, _ bool, args []string) { theServer(ts).ended(ts, args[0]) },
			"login":   clientCmd((*client).login),
			"refresh": clientCmd((*client).refresh),
			"logout":  clientCmd((*client).logout),
			"bearer":  bearer,
			"socket":  clientCmd((*client).socket),
			"echoed":  clientCmd((*client).echoed),
			"closed":  clientCmd((*client).closed),
			"get":     clientCmd((*client).get),
			"metrics": metrics,
			"ids":     ids,
			"operators": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Setenv("ADMIN", "http://"+portOf.FindStringSubmatch(theServer(ts).log.String())[1])
			},
			"cluster":   startCluster,
			"node":      useNode,
			"stopnode":  stopNode,
			"backend":   startBackend,
			"readme":    readme,
			"mode":      mode,
			"cutoff":    cutOff,
			"oldformat": oldFormat,

			"certificate": makeCertificate,
			"shows":       shows,
			"server":      useServer,
			"redis":       startRedis,
			"everywhere":  clientCmd((*client).logOutEverywhere),
			"exits":       exits,
			"jsonlines":   jsonLines,
			"secretless":  secretless,
		},
	}
}

// goRace configures the race detector in the commands of scripts, each of which
// is a process. By default it would delay the end of each by a second, to find
// races of remaining goroutines; a tenth is enough. The first race ends the
// process, because a report of a server that a script kills would not be seen
// otherwise.
const goRace = "GORACE=halt_on_error=1 atexit_sleep_ms=100"

func cutOff(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(errors.Join(err, os.Truncate(ts.MkAbs(args[0]), n)))
}

func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("mode of %s is %s, want %s", args[0], got, args[1])
	}
}

func bearer(ts *testscript.TestScript, _ bool, args []string) {
	theServer(ts).clients[args[0]] = &client{access: strings.TrimSpace(ts.ReadFile(args[1]))}
}

// portOf finds the operators' port in a log.
var portOf = regexp.MustCompile(`operators are served" addr=(127\.0\.0\.1:[0-9]+)`)

func ids(ts *testscript.TestScript, _ bool, args []string) {
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(theServer(ts).clients[args[0]].access, ".")[1])
	ts.Check(err)
	var claims struct{ JTI, SID string }
	ts.Check(json.Unmarshal(payload, &claims))
	ts.Setenv("JTI", claims.JTI)
	ts.Setenv("SID", claims.SID)
}

// fullEnv is the environment variable that makes serveMain fill the disk.
const fullEnv = "WSAUTH_TEST_FULL"

type serverKey struct{}

// servers holds the servers of a script.
type servers struct {
	current *process
	named   map[string]*process // by "node"
}

// A process is the running "wsauth serve" of a script.
type process struct {
	cmd   *exec.Cmd
	lines chan string // its log by lines; closed when it has ended
	log   bytes.Buffer
	url   string

	clients map[string]*client
	roots   *x509.CertPool // trusted by the clients
	nodes   map[string]node
}

func newProcess(clients map[string]*client, roots *x509.CertPool) *process {
	return &process{clients: clients, roots: roots}
}

func theServer(ts *testscript.TestScript) *process { return ts.Value(serverKey{}).(*servers).current }

var urlOf = regexp.MustCompile(`url"?[=:]"?(https?://[^/]+)/`)

func (s *process) start(ts *testscript.TestScript, args []string) {
	path, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "wsauth"))
	ts.Check(err)
	s.cmd = exec.Command(path, args...)
	s.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_DATA_HOME", "GORACE", "GOCOVERDIR", "TMPDIR", "WSAUTH_CONFIG", "WSAUTH_LISTEN", "WSAUTH_ACCESS_TTL", "WSAUTH_REFRESH_TTL", "WSAUTH_ACCESS_LOG", "WSAUTH_LOG", "WSAUTH_STORE", fullEnv} {
		if value := ts.Getenv(name); value != "" {
			s.cmd.Env = append(s.cmd.Env, name+"="+value)
		}
	}
	for name := range strings.FieldsSeq(ts.Getenv("EMPTY")) {
		s.cmd.Env = append(s.cmd.Env, name+"=")
	}
	stderr, err := s.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	ts.Defer(func() {
		_ = s.cmd.Process.Kill() // it may have ended already
		_ = s.cmd.Wait()
	})
	s.log.Reset()
	lines := make(chan string, 1000)
	s.lines = lines
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			lines <- in.Text()
		}
	}()
	s.waitForLog(ts, "listening")
	found := urlOf.FindStringSubmatch(s.log.String())
	if found == nil {
		ts.Fatalf("no address in the log: %s", &s.log)
	}
	s.url = found[1]
	s.setenv(ts)
}

// setenv sets the variables with the address of the server.
func (s *process) setenv(ts *testscript.TestScript) {
	ts.Setenv("URL", s.url)
	ts.Setenv("ADDR", s.url[strings.Index(s.url, "//")+2:])
}

// waitForLog reads the log until it contains text.
func (s *process) waitForLog(ts *testscript.TestScript, text string) {
	timeout := time.After(20 * time.Second)
	for !strings.Contains(s.log.String(), text) {
		select {
		case line, open := <-s.lines:
			if !open {
				ts.Fatalf("the server ended without logging %q: %s", text, &s.log)
			}
			s.log.WriteString(line + "\n")
		case <-timeout:
			ts.Fatalf("the server does not log %q: %s", text, &s.log)
		}
	}
}

func (s *process) signal(ts *testscript.TestScript, name string) {
	sig, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[name]
	if !ok {
		ts.Fatalf("unknown signal %s", name)
	}
	ts.Check(s.cmd.Process.Signal(sig))
}

func (s *process) ended(ts *testscript.TestScript, code string) {
	for line := range s.lines {
		s.log.WriteString(line + "\n")
	}
	err := s.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		ts.Fatalf("wait: %v", err)
	}
	if got := strconv.Itoa(s.cmd.ProcessState.ExitCode()); got != code {
		ts.Fatalf("exit code %s, want %s; log: %s", got, code, &s.log)
	}
	ts.Check(os.WriteFile(ts.MkAbs("log"), s.log.Bytes(), 0o600))
}
