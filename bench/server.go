package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/token"
)

// A hello is what a server tells the program that started it.
type hello struct {
	Addr  string // of the sockets: /plain and /guarded
	Token string // an access token that lives for an hour
	Brief string // one that lives for three seconds

	BriefUntil int64 // its exp
}

// A usage is what a server has used up.
type usage struct {
	CPU      time.Duration // user and system time
	Resident int64         // bytes
	Open     int           // goroutines, which tells how many sockets are open
}

// serve is the server: coder/websocket handlers, with and without a guard. It
// answers each line on standard input with its usage, and stops at its end.
func serve() error {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		return err
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		return err
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	if err != nil {
		return err
	}
	guard, err := wsauth.New(wsauth.Config{Verifier: verifier})
	if err != nil {
		return err
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		return err
	}
	long, err := issuer.Access("ada", token.Options{TTL: time.Hour, Fresh: true, SessionID: "s1", CSRF: true})
	if err != nil {
		return err
	}
	brief, err := issuer.Access("ada", token.Options{TTL: 3 * time.Second})
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
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()

	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(hello{listener.Addr().String(), long.Raw, brief.Raw, brief.Claims.ExpiresAt.Unix()}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "memory" {
			runtime.GC()
			debug.FreeOSMemory()
		}
		if err := out.Encode(measure()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// idle accepts a socket and waits for its end.
func idle(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	_, _, _ = conn.Read(r.Context())
}

func measure() usage {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return usage{
		CPU:      time.Duration(ru.Utime.Nano() + ru.Stime.Nano()),
		Resident: resident(),
		Open:     runtime.NumGoroutine(),
	}
}

func resident() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// A child is a server that was started.
type child struct {
	hello
	stop func()
	in   io.Writer
	out  *json.Decoder
}

func start() (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, "serve")
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
	c := &child{in: in, out: json.NewDecoder(out)}
	c.stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	return c, c.out.Decode(&c.hello)
}

// ask returns the usage so far, after a garbage collection if what is "memory".
func (c *child) ask(what string) (usage, error) {
	var u usage
	if _, err := fmt.Fprintln(c.in, what); err != nil {
		return u, err
	}
	return u, c.out.Decode(&u)
}

// settle waits until as many goroutines are left as there were at first.
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
