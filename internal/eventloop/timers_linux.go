package eventloop

import (
	"container/heap"
	"time"
)

// never is a time that is never reached.
const never = time.Duration(1<<63 - 1)

// A Timer calls [Handler.Tick] once when it is due. Setting it to a later time
// does not move it, so Tick may be called too early; the handler then sets it
// again. The zero Timer is not set.
type Timer struct {
	Handler   Handler
	due       time.Duration
	heapIndex int // position in the loop's heap, from 1; 0 if not set
}

// IsSet reports whether the timer is set.
func (t *Timer) IsSet() bool { return t.heapIndex > 0 }

// timers is a heap of the timers that are set, the earliest first.
type timers []*Timer

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].due < h[j].due }

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i+1, j+1
}

// Push implements [heap.Interface].
func (h *timers) Push(x any) {
	*h = append(*h, x.(*Timer))
	(*h)[len(*h)-1].heapIndex = len(*h)
}

// Pop implements [heap.Interface].
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.heapIndex = 0
	return t
}

// set sets t, or moves it to an earlier time.
func (h *timers) set(t *Timer, at time.Duration) {
	switch {
	case !t.IsSet() && at == never:
	case !t.IsSet():
		t.due = at
		heap.Push(h, t)
	case at < t.due:
		t.due = at
		heap.Fix(h, t.heapIndex-1)
	}
}

// remove stops t, if it is set.
func (h *timers) remove(t *Timer) {
	if t.IsSet() {
		heap.Remove(h, t.heapIndex-1)
	}
}

// next returns when the first timer is due.
func (h timers) next() time.Duration {
	if len(h) == 0 {
		return never
	}
	return h[0].due
}
