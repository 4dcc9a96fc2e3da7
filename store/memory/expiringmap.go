package memory

import (
	"container/heap"
	"iter"
	"time"
)

// An expiringMap is a map with values that expire. It finds expired values
// without scanning the others. It is not safe for concurrent use.
type expiringMap[K comparable, V any] struct {
	items map[K]*item[K, V]
	order itemHeap[K, V]
}

// An item is a key of an expiringMap with its value and its expiry.
type item[K comparable, V any] struct {
	key     K
	value   V
	expires time.Time
	at      int // index in the heap
}

func newExpiringMap[K comparable, V any]() expiringMap[K, V] {
	return expiringMap[K, V]{items: map[K]*item[K, V]{}}
}

// get returns the value of a key, which may have expired.
func (m *expiringMap[K, V]) get(key K) (value V, ok bool) {
	if i, ok := m.items[key]; ok {
		return i.value, true
	}
	return value, false
}

// put sets the value of a key.
func (m *expiringMap[K, V]) put(key K, value V, expires time.Time) {
	if i, ok := m.items[key]; ok {
		i.value, i.expires = value, expires
		heap.Fix(&m.order, i.at)
		return
	}
	i := &item[K, V]{key: key, value: value, expires: expires}
	m.items[key] = i
	heap.Push(&m.order, i)
}

// remove removes a key, if it exists.
func (m *expiringMap[K, V]) remove(key K) {
	if i, ok := m.items[key]; ok {
		heap.Remove(&m.order, i.at)
		delete(m.items, key)
	}
}

// due returns an iterator that removes and yields the values that expire at or
// before now, in the order of their expiry.
func (m *expiringMap[K, V]) due(now time.Time) iter.Seq[V] {
	return func(yield func(V) bool) {
		for len(m.order) > 0 && !m.order[0].expires.After(now) {
			first := m.order[0]
			m.remove(first.key)
			if !yield(first.value) {
				return
			}
		}
	}
}

// sweep removes the values that expire at or before now.
func (m *expiringMap[K, V]) sweep(now time.Time) {
	for range m.due(now) {
		continue
	}
}

// len returns the number of values.
func (m *expiringMap[K, V]) len() int { return len(m.items) }

// itemHeap is a [heap.Interface], ordered by expiry.
type itemHeap[K comparable, V any] []*item[K, V]

func (h itemHeap[K, V]) Len() int           { return len(h) }
func (h itemHeap[K, V]) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }

func (h itemHeap[K, V]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *itemHeap[K, V]) Push(x any) {
	i := x.(*item[K, V])
	i.at = len(*h)
	*h = append(*h, i)
}

func (h *itemHeap[K, V]) Pop() any {
	last := len(*h) - 1
	i := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return i
}
