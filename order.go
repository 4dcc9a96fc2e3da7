package wsauth

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// An order lists sockets in the order in which they were opened. Each has a
// number, so that a caller that reads a part at a time can continue after the
// last one, even if sockets were opened or closed in between. An order is not
// safe for concurrent use.
type order struct {
	own     atomic.Uint64  // the last assigned number
	numbers *atomic.Uint64 // &own if nil; orders may share it
	places  []numbered     // ascending, with removed ones in between
	open    int            // places that are not removed
}

// numbered is a place in an order. Its socket is nil after its removal.
type numbered struct {
	number uint64
	socket *Socket
}

// chunk is how many places part reads.
const chunk = 256

// add appends s.
func (o *order) add(s *Socket) {
	if o.numbers == nil {
		o.numbers = &o.own
	}
	number := o.numbers.Add(1)
	s.id.Store(number)
	o.places = append(o.places, numbered{number, s})
	o.open++
}

// remove removes s if it is in the order.
func (o *order) remove(s *Socket) {
	i := o.after(s.id.Load() - 1)
	if i >= len(o.places) || o.places[i].socket != s {
		return
	}
	o.places[i].socket = nil
	o.open--
	if len(o.places) > 2*o.open+chunk {
		o.places = slices.DeleteFunc(o.places, func(n numbered) bool { return n.socket == nil })
	}
}

// after returns the index of the first place after a number.
func (o *order) after(number uint64) int {
	i, found := slices.BinarySearchFunc(o.places, number, func(n numbered, number uint64) int { return cmp.Compare(n.number, number) })
	if found {
		i++
	}
	return i
}

// all returns all sockets.
func (o *order) all() []*Socket {
	all := make([]*Socket, 0, o.open)
	for _, n := range o.places {
		if n.socket != nil {
			all = append(all, n.socket)
		}
	}
	return all
}

// part returns the sockets in the next places after a number, and the number
// of the last of these places. If that equals number, there are no more.
func (o *order) part(number uint64) (sockets []*Socket, last uint64) {
	first := o.after(number)
	for _, n := range o.places[first:min(first+chunk, len(o.places))] {
		number = n.number
		if n.socket != nil {
			sockets = append(sockets, n.socket)
		}
	}
	return sockets, number
}
