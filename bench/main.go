// Bench measures what the guard costs, and fails where a figure misses its
// target. Each is a ratio of two things measured in one run, in turns, since
// machines differ and are shared:
//
//	go run ./bench             all of them
//	go run ./bench handshake   CPU per guarded handshake, against the same handler unguarded
//	go run ./bench memory      memory of an idle guarded socket, against an unguarded one
//	go run ./bench expiry      from the expiry of a token to the close frame
//
// The server is a process of its own, so that the client's work is not
// counted. All traffic is on the loopback interface. The costs of single
// functions are Go benchmarks beside them: go test -bench . ./token
// ./internal/wsconn.
package main

import (
	"fmt"
	"os"
)

func main() {
	figures := map[string]func() error{"handshake": handshake, "memory": memory, "expiry": expiry}
	args := os.Args[1:]
	if len(args) == 1 && args[0] == "serve" {
		exitOn(serve())
		return
	}
	if len(args) == 0 {
		args = []string{"handshake", "memory", "expiry"}
	}
	for _, name := range args {
		figure, ok := figures[name]
		if !ok {
			exitOn(fmt.Errorf("no figure %q: handshake, memory or expiry", name))
		}
		exitOn(figure())
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
