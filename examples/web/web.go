// Package web contains the code that examples/query and examples/cookie share:
// the socket, and replacements for features of FastAPI, the framework of the
// original programs. It is only for these examples and may change at any time.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Routes maps patterns of [http.ServeMux] to handlers. A pattern contains one
// method, or none if its handler responds to every method itself.
type Routes map[string]http.HandlerFunc

// Handler returns a handler that serves the routes. It responds with 404 and
// 405 in JSON to other requests.
func (routes Routes) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { notFound(w) })
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
		if method, path, ok := strings.Cut(pattern, " "); ok {
			mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Allow", method)
				Detail(w, http.StatusMethodNotAllowed, "Method Not Allowed")
			})
		}
	}
	return mux
}

// JSON responds with v in JSON. It panics if v cannot be marshaled.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client has disconnected
}

// Detail responds with {"detail": detail}.
func Detail(w http.ResponseWriter, status int, detail any) {
	JSON(w, status, map[string]any{"detail": detail})
}

func notFound(w http.ResponseWriter) { Detail(w, http.StatusNotFound, "Not Found") }

// Serve serves the routes at addr until the program is interrupted.
func Serve(addr string, routes Routes) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatalf("cannot listen: %v; choose another address with -addr", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("listening on http://%s (Ctrl-C stops)\n", listener.Addr())
	server := &http.Server{Handler: routes.Handler(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 32 << 10}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-stopped // Serve returns when Shutdown begins
}
