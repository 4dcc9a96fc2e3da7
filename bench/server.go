package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/store"
	"wsauth/store/bolt"
	"wsauth/store/memory"
	"wsauth/token"
)

// An announcement is the first message of a server to the program that started
// it.
type announcement struct {
	Addr  string // of the sockets: /plain and /guarded
	Token string // an access token that lives for an hour
	Brief string // a token that lives for three seconds

	BriefUntil int64 // its exp
}

// A usage contains the resources that a server has used.
type usage struct {
	CPU      time.Duration // user and system time
	Resident int64         // bytes
	Open     int           // goroutines, which correspond to open sockets
}

// A server has coder/websocket handlers with and without a guard.
type server struct {
	issuer *token.Issuer
	guard  *wsauth.Guard
}

// newKeys returns a new key as a set, and an issuer that signs with it.
func newKeys() (*token.KeySet, *token.Issuer, error) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		return nil, nil, err
	}
	return keysWith(key)
}

// keysWith returns a key as a set, and an issuer that signs with it.
func keysWith(key *token.Key) (*token.KeySet, *token.Issuer, error) {
	keys, err := token.NewKeySet(key)
	if err != nil {
		return nil, nil, err
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	return keys, issuer, err
}

// serve runs the server. It answers each line on standard input with a line of
// JSON, and stops at the end of the input. It stores revocations in the file
// or, if file is empty, in memory.
func serve(file string) error {
	var revocations store.Revocations = memory.New(store.Limits{})
	if file != "" {
		durable, err := bolt.Open(file, store.Limits{})
		if err != nil {
			return err
		}
		defer durable.Close()
		revocations = durable
	}
	keys, issuer, err := newKeys()
	if err != nil {
		return err
	}
	return serveWith(keys, issuer, revocations)
}

// serveWith is like serve, but with the given keys and store.
func serveWith(keys *token.KeySet, issuer *token.Issuer, revocations store.Revocations) error {
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	if err != nil {
		return err
	}
	guard, err := wsauth.New(wsauth.Config{Verifier: verifier, Revocations: revocations})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/plain", http.HandlerFunc(idle))
	mux.Handle("/guarded", guard.Require(wsauth.Access)(http.HandlerFunc(idle)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	httpServer := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = httpServer.Serve(listener) }()
	return (&server{issuer, guard}).talk(listener.Addr().String(), os.Stdin, json.NewEncoder(os.Stdout))
}

// talk writes the announcement, and then executes the commands that it reads.
func (s *server) talk(addr string, in io.Reader, out *json.Encoder) error {
	long, err := s.issuer.Access("ada", token.Options{TTL: time.Hour, Fresh: true, SessionID: "s1", CSRF: true})
	if err != nil {
		return err
	}
	brief, err := s.issuer.Access("ada", token.Options{TTL: 3 * time.Second})
	if err != nil {
		return err
	}
	if err := out.Encode(announcement{addr, long.Raw, brief.Raw, brief.Claims.ExpiresAt.Unix()}); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		what, argument, _ := strings.Cut(lines.Text(), " ")
		answer, err := s.execute(what, argument)
		if err != nil {
			return err
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (s *server) execute(what, argument string) (any, error) {
	switch what {
	case "cpu":
		return measure(), nil
	case "memory":
		runtime.GC()
		debug.FreeOSMemory()
		return measure(), nil
	case "heap":
		return heapByPart(), nil
	case "login":
		return s.login(argument)
	case "logout":
		sockets, err := s.guard.RevokeSession(context.Background(), argument)
		if errors.Is(err, store.ErrNotDurable) {
			return -1, nil
		}
		return sockets, err
	case "logout-everywhere":
		return s.guard.RevokeSubject(context.Background(), argument)
	}
	return nil, fmt.Errorf("what is %q?", what)
}

// A userSession is a session of a user.
type userSession struct{ SID, Token string }

func (s *server) login(user string) (userSession, error) {
	sid := store.NewSessionID(time.Now())
	access, err := s.issuer.Access(user, token.Options{TTL: time.Hour, Fresh: true, SessionID: sid, CSRF: true})
	if err != nil {
		return userSession{}, err
	}
	return userSession{sid, access.Raw}, nil
}

// idle accepts a socket and waits until it ends.
func idle(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	_, _, _ = conn.Read(r.Context())
}

// A child is a server in a child process.
type child struct {
	announcement
	pid  int
	stop func()
	in   io.Writer
	out  *json.Decoder
}

// start starts a server with these arguments.
func start(arguments ...string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, append([]string{"serve"}, arguments...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{pid: cmd.Process.Pid, in: in, out: json.NewDecoder(out)}
	c.stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	return c, c.out.Decode(&c.announcement)
}

// tell sends a command to the server, and reads its answer.
func (c *child) tell(line string, answer any) error {
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		return err
	}
	return c.out.Decode(answer)
}

// ask returns the usage so far, after a garbage collection if what is
// "memory".
func (c *child) ask(what string) (usage, error) {
	var u usage
	err := c.tell(what, &u)
	return u, err
}

// settle waits until at most the given number of goroutines run, for up to ten
// seconds. It returns the last usage.
func (c *child) settle(goroutines int) (usage, error) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		u, err := c.ask("cpu")
		if err != nil || u.Open <= goroutines || time.Now().After(deadline) {
			return u, err
		}
		time.Sleep(time.Millisecond)
	}
}
