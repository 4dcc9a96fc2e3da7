// Bench measures the cost of the guard, and fails if a figure misses its
// target:
//
//	go run ./bench             the following five
//	go run ./bench handshake   CPU per guarded handshake, against the same handler unguarded
//	go run ./bench memory      memory of an idle guarded socket, against an unguarded one
//	go run ./bench session     heap of the guard itself for an idle socket
//	go run ./bench expiry      from the expiry of a token to the close frame
//	go run ./bench revoke      from a logout to the close frame, with 10,000 sockets open
//
// and the cost of the gateway compared with nginx, which must be installed:
//
//	go run ./bench relay             CPU, time and memory of its relay alone, of many sockets at once
//	go run ./bench proxy-handshake   CPU per authenticated handshake, against nginx with auth_request
//	go run ./bench proxy-echo        CPU and time per round trip
//	go run ./bench proxy-memory      memory of an idle socket
//	go run ./bench soak              8,100 sockets for ten minutes, under logouts, refreshes and changes of routes
//	go run ./bench cluster           from a logout on one node to the close frames of others, with redis-server as the store
//	go run ./bench all               everything, in this order
//
// The first two, and those that compare with nginx, are ratios of two values
// measured alternately in one run, because machines differ and run other
// programs. The numbers in parentheses are the interquartile range of the
// rounds. nginx has one worker, because one socket keeps one loop of the
// gateway busy. The server is a separate process, so that the client's work is
// not included. All traffic uses the loopback interface.
//
// The costs of individual functions are measured by Go benchmarks:
//
//	go test -run '^$' -bench . ./token ./internal/wsconn   a token, a frame
//	go test -run '^$' -bench . ./internal/revindex         a check among 1,000,000 revocations
//	go test -run '^$' -bench . ./store/bolt                a durable revocation
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// figures lists the measurements in the order of "all". The first ones, of the
// guard, need nothing but Go, and are the default.
var figures = []struct {
	name    string
	measure func() error
}{
	{"handshake", handshake},
	{"memory", socketMemory},
	{"session", session},
	{"expiry", expiry},
	{"revoke", revoke},
	{"relay", benchRelay},
	{"proxy-handshake", proxyHandshake},
	{"proxy-echo", proxyEcho},
	{"proxy-memory", proxyMemory},
	{"soak", soak},
	{"cluster", cluster},
}

// ofTheGuard is the number of figures that concern the guard.
const ofTheGuard = 5

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "serve" {
		exitOn(beServer(args[1:]))
		return
	}
	var names []string
	for _, f := range figures {
		names = append(names, f.name)
	}
	switch {
	case len(args) == 0:
		args = names[:ofTheGuard]
	case len(args) == 1 && args[0] == "all":
		args = names
	}
	for _, name := range args {
		found := false
		for _, f := range figures {
			if f.name == name {
				found = true
				exitOn(f.measure())
			}
		}
		if !found {
			exitOn(fmt.Errorf("no figure %q: all, %s", name, strings.Join(names, ", ")))
		}
	}
}

// beServer runs one of the servers. The first argument is its name. Any other
// first argument is the file for the revocations of the guarded handlers.
func beServer(args []string) error {
	switch what := append(args, "", "", ""); what[0] {
	case "gateway":
		return serveGateway(what[1])
	case "relay":
		return serveRelay(what[1])
	case "cluster":
		return serveNode(what[1], what[2])
	case "verifier":
		return serveVerifier()
	case "echo":
		return serveEcho()
	case "soak":
		return serveSoak(what[1])
	case "profile":
		runtime.MemProfileRate = 1
		return serve("")
	default:
		return serve(what[0])
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
