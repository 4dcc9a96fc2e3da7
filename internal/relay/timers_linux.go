package relay

import (
	"container/heap"
	"time"
)

// timers are the tunnels of a loop that have something to do at a time, the
// earliest first. The time may be too early, as that of a connection on which
// something has come since: then it is looked up again.
type timers []*looped

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].due < h[j].due }

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for package heap.
func (h *timers) Push(x any) {
	l := x.(*looped)
	l.index = len(*h)
	*h = append(*h, l)
}

// Pop is for package heap.
func (h *timers) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.index = untimed
	return l
}

// untimed is the index of a tunnel that has nothing to do at any time.
const untimed = -1

// set has l looked at when at has come, or before.
func (h *timers) set(l *looped, at time.Duration) {
	switch {
	case l.index == untimed && at == never:
	case l.index == untimed:
		l.due = at
		heap.Push(h, l)
	case at < l.due:
		l.due = at
		heap.Fix(h, l.index)
	}
}

func (h *timers) remove(l *looped) {
	if l.index != untimed {
		heap.Remove(h, l.index)
	}
}

// next is the time until the first is due.
func (h timers) next(now time.Duration) time.Duration {
	if len(h) == 0 {
		return never
	}
	return max(h[0].due-now, 0)
}
