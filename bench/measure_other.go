//go:build !linux

package main

import "log"

// measure exits, because measuring needs /proc, which only Linux has.
func measure() usage {
	log.Fatal("bench measures on Linux only")
	return usage{}
}
