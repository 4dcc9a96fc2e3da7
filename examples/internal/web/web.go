// Package web is what the two programs that wsauth grew from get from their
// framework: JSON answers, also for unknown paths and wrong methods, checked
// request bodies, and a server that stops cleanly.
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

// Routes are handlers by patterns of [http.ServeMux], each with its one method,
// or without one where the handler answers every method itself.
type Routes map[string]http.HandlerFunc

// Handler serves the routes. Any other method or path is answered in JSON.
func (routes Routes) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { NotFound(w) })
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
		if method, path, ok := strings.Cut(pattern, " "); ok {
			mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Allow", method)
				Detail(w, http.StatusMethodNotAllowed, "Method Not Allowed")
			})
		}
	}
	return mux
}

// HTML answers with a page.
func HTML(page string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page))
	}
}

// JSON answers with v, which is one of the programs' answers and so marshals.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// Detail answers with {"detail": detail}.
func Detail(w http.ResponseWriter, status int, detail any) {
	JSON(w, status, map[string]any{"detail": detail})
}

// NotFound is the answer for a path that is not there.
func NotFound(w http.ResponseWriter) { Detail(w, http.StatusNotFound, "Not Found") }

// Serve serves handler on addr until the program is interrupted.
func Serve(addr string, handler http.Handler) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatalf("cannot listen: %v; choose another address with -addr", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("listening on http://%s (Ctrl-C stops)\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 32 << 10}
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
