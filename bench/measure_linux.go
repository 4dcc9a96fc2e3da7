package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// measure returns the resources that this process has used so far.
func measure() usage {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return usage{
		CPU:      time.Duration(ru.Utime.Nano() + ru.Stime.Nano()),
		Resident: resident(),
		Open:     runtime.NumGoroutine(),
	}
}

// resident returns the resident memory of this process in bytes.
func resident() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
