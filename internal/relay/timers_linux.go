package relay

import (
	"container/heap"
	"time"
)

// timers are what a loop carries that has something to do at a time, the
// earliest first. The time may be too early, as that of a connection on which
// something has come since: then it is looked up again.
type timers []*timed

// A timed is a task's place among the timers.
type timed struct {
	task  task
	due   time.Duration
	index int // untimed where it has nothing to do at any time
}

const untimed = -1

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].due < h[j].due }

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for package heap.
func (h *timers) Push(x any) {
	t := x.(*timed)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop is for package heap.
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = untimed
	return t
}

// set has t's task looked at when at has come, or before.
func (h *timers) set(t *timed, at time.Duration) {
	switch {
	case t.index == untimed && at == never:
	case t.index == untimed:
		t.due = at
		heap.Push(h, t)
	case at < t.due:
		t.due = at
		heap.Fix(h, t.index)
	}
}

func (h *timers) remove(t *timed) {
	if t.index != untimed {
		heap.Remove(h, t.index)
	}
}

// next is when the first is due.
func (h timers) next() time.Duration {
	if len(h) == 0 {
		return never
	}
	return h[0].due
}
