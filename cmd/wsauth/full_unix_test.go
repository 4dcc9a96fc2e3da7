//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// serveMain runs main. With fullEnv set, it can write no file beyond its first
// two pages, as on a full disk.
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
