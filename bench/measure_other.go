//go:build !linux

package main

import "log"

// measure ends the program: it reads /proc, which only Linux has.
func measure() usage {
	log.Fatal("bench measures on Linux only")
	return usage{}
}
