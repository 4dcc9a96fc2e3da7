package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wsauth"

	jwt "github.com/golang-jwt/jwt/v5"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/token"
)

// secretVariable is the environment variable that passes the key of the tokens
// to child processes.
const secretVariable = "WSAUTH_BENCH_SECRET"

func benchKey() (*token.Key, []byte, error) {
	secret, err := hex.DecodeString(os.Getenv(secretVariable))
	if err != nil {
		return nil, nil, err
	}
	key, err := token.NewKey(token.HS256, secret, token.KeyOptions{})
	return key, secret, err
}

// serveGateway runs a gateway in front of one upstream.
func serveGateway(upstream string) error {
	key, _, err := benchKey()
	if err != nil {
		return err
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		return err
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Config{
		Tokens: tokens.Config{Keys: keys},
		Limits: wsauth.Limits{PerSubject: -1},
		Routes: []proxy.Route{{Path: "/", Upstreams: []string{"http://" + upstream}}},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	listener, err := front.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = g.Serve(context.Background(), listener) }()
	return (&server{issuer: issuer}).talk(listener.Addr().String(), os.Stdin, json.NewEncoder(os.Stdout))
}

// serveVerifier runs the server for nginx's auth_request: it answers 204 if
// the token is valid, as any Go program with a JWT library would.
func serveVerifier() error {
	key, secret, err := benchKey()
	if err != nil {
		return err
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		return err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		parsed, err := parser.Parse(raw, func(*jwt.Token) (any, error) { return secret, nil })
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		subject, _ := parsed.Claims.GetSubject() // a token of ours has one
		w.Header().Set("X-User", subject)
		w.WriteHeader(http.StatusNoContent)
	})
	httpServer := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = httpServer.Serve(listener) }()
	return (&server{issuer: issuer}).talk(listener.Addr().String(), os.Stdin, json.NewEncoder(os.Stdout))
}

// nginxConfig is the configuration of a WebSocket proxy according to nginx's
// manual, without and with auth_request.
const nginxConfig = `
daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log warn;
worker_processes 1;
user root;
events { worker_connections 20000; }
http {
	access_log off;
	upstream backend { server %[2]s; }
	upstream verifier { server %[3]s; keepalive 16; }
	server {
		listen %[4]s;
		location / {
			proxy_pass http://backend;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_read_timeout 1h;
		}
		location /auth/ {
			auth_request /_verify;
			auth_request_set $user $upstream_http_x_user;
			proxy_pass http://backend;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_set_header X-User $user;
			proxy_set_header Authorization "";
			proxy_read_timeout 1h;
		}
		location = /_verify {
			internal;
			proxy_pass http://verifier/;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
		}
	}
}
`

// An nginxProcess is an nginx with one worker, on the loopback interface.
type nginxProcess struct {
	addr   string
	worker int
	stop   func()
}

// startNginx starts nginx in a temporary folder.
func startNginx(backend, verifier string) (*nginxProcess, error) {
	dir, err := os.MkdirTemp("", "wsauth-bench-nginx-")
	if err != nil {
		return nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &nginxProcess{addr: free.Addr().String()}
	_ = free.Close()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, dir, backend, verifier, n.addr), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("nginx", "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("nginx is needed for comparison: %w", err)
	}
	n.stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	for range 500 {
		time.Sleep(10 * time.Millisecond)
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if err != nil {
			break
		}
		conn, err := net.Dial("tcp", n.addr)
		if err != nil || len(bytes.Fields(children)) == 0 {
			continue
		}
		_ = conn.Close()
		n.worker, err = strconv.Atoi(string(bytes.Fields(children)[0]))
		return n, err
	}
	n.stop()
	return nil, fmt.Errorf("nginx does not start; see %s", dir)
}

// cpu returns the CPU time of the worker so far, in nanoseconds.
func (n *nginxProcess) cpu() (float64, error) { return processCPU(n.worker) }

// processCPU returns the CPU time of the threads of a process so far, in
// nanoseconds.
func processCPU(pid int) (float64, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		used, err := strconv.ParseFloat(strings.Fields(string(stat))[0], 64)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// resident returns the resident memory of the worker in bytes.
func (n *nginxProcess) resident() (float64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.worker))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(statm))[1], 64)
	return pages * float64(os.Getpagesize()), err
}
