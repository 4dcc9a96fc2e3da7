package main

import (
	"fmt"
	"runtime"
	"strings"
)

// The parts of the memory that a guard uses for an open socket.
const (
	partSession    = "session"    // in the handler's context
	partRegistry   = "registry"   // its entries in the registry of sockets by token, session and user
	partTimer      = "timer"      // ends the socket
	partClaims     = "claims"     // the claims of its token
	partRequest    = "request"    // the handler's copy, without the credential
	partConnection = "connection" // the connection between the handler and TCP
)

// session prints the heap that a guard uses for an idle socket, by part. The
// server profiles every allocation, and live memory is attributed to the
// function of the guard that allocated it.
func session() error {
	const sockets, target = 10_000, 1024.0
	if err := canOpen(sockets); err != nil {
		return err
	}
	c, err := start("profile")
	if err != nil {
		return err
	}
	defer c.stop()
	crowd := newCrowd(c)
	defer crowd.leave()
	before, after := map[string]float64{}, map[string]float64{}
	if err := c.tell("heap", &before); err != nil {
		return err
	}
	if err := crowd.open(sockets); err != nil {
		return err
	}
	if err := c.tell("heap", &after); err != nil {
		return err
	}
	each := func(part string) float64 { return (after[part] - before[part]) / sockets }
	sum := each(partSession) + each(partRegistry) + each(partTimer)
	fmt.Printf("session: %.0f bytes of heap an open socket (session %.0f, registry %.0f, timer %.0f; %d sockets), at most %.0f\n",
		sum, each(partSession), each(partRegistry), each(partTimer), sockets, target)
	fmt.Printf("session: not included: claims %.0f, request %.0f, connection %.0f bytes\n",
		each(partClaims), each(partRequest), each(partConnection))
	for _, part := range []string{partSession, partRegistry, partTimer, partClaims, partRequest, partConnection} {
		if each(part) <= 0 {
			return fmt.Errorf("session: no memory is attributed to %s: was the function that allocates it renamed?", part)
		}
	}
	return checkTarget("session", sum, target)
}

// heapByPart returns the live heap in bytes, by part.
func heapByPart() map[string]float64 {
	runtime.GC()
	runtime.GC() // a profile shows the state before the last two collections
	records := make([]runtime.MemProfileRecord, 10_000)
	n, ok := runtime.MemProfile(records, false)
	if !ok {
		return nil
	}
	parts := map[string]float64{}
	for _, r := range records[:n] {
		parts[partOf(r.Stack())] += float64(r.InUseBytes())
	}
	return parts
}

// partOf returns the part to which an allocation belongs, according to the
// innermost function of this module on its stack.
func partOf(stack []uintptr) string {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		switch name := frame.Function; {
		case strings.HasPrefix(name, "wsauth.(*registry)."), strings.HasPrefix(name, "wsauth.(*rings)."):
			return partRegistry
		case strings.HasPrefix(name, "wsauth/internal/wsconn."):
			return partConnection
		case strings.HasPrefix(name, "wsauth/token."):
			return partClaims
		case strings.HasPrefix(name, "wsauth.(*extractors).stripped"):
			return partRequest
		case strings.HasPrefix(name, "wsauth.(*expiry).start"):
			return partTimer
		case strings.HasPrefix(name, "wsauth.(*Guard).newSocket"), strings.HasPrefix(name, "wsauth.(*socketContext)."),
			strings.HasPrefix(name, "wsauth.(*Guard).serveSocket"): // closures and the like
			return partSession
		case strings.HasPrefix(name, "wsauth"), strings.HasPrefix(name, "main."):
			return name
		}
		if !more {
			return ""
		}
	}
}
