package relay

import (
	"runtime"
	"sync"
)

var procs sync.Mutex // orders addProcs

// addProcs has the scheduler run n more goroutines at once, or n fewer. A loop
// holds one of its places while it waits for events by poller.hold, and the rest
// of the program is to have as many as before.
func addProcs(n int) {
	procs.Lock()
	defer procs.Unlock()
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)+n, 1))
}
