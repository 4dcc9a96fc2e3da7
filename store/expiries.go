package store

import "container/heap"

// expiries is a priority queue of names by expiry, so that a sweep looks only
// at those that expire. It contains each name once. If the expiry of a name
// was extended, the caller of due adds it again.
type expiries struct {
	heap expiryHeap
}

// add adds a name that expires at when, in milliseconds since 1970.
func (e *expiries) add(n name, when int64) { heap.Push(&e.heap, expiry{when, n}) }

// due removes and returns a name that expires at or before horizon. It returns
// false if there is none.
func (e *expiries) due(horizon int64) (name, bool) {
	if len(e.heap) == 0 || e.heap[0].when > horizon {
		return name{}, false
	}
	return heap.Pop(&e.heap).(expiry).name, true
}

type expiry struct {
	when int64
	name name
}

// expiryHeap is a [heap.Interface], ordered by expiry.
type expiryHeap []expiry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].when < h[j].when }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiry)) }

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = expiry{}
	*h = (*h)[:last]
	return x
}
