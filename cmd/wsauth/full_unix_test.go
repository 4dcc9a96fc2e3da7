//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// serveMain runs main. If fullEnv is set, it cannot extend files beyond two
// pages, as on a full disk.
func serveMain() {
	if os.Getenv(fullEnv) != "" {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 2 * 4096, Max: 2 * 4096}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			panic(err)
		}
	}
	main()
}
