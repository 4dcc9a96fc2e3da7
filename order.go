package wsauth

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// An order lists sockets in the order in which they were opened. Each has a
// number, so that a reader who takes them piece by piece can go on where it
// stopped, whatever was opened and closed in between. It is not safe for
// concurrent use.
type order struct {
	own     atomic.Uint64  // the number that was given last
	numbers *atomic.Uint64 // nil is own; another order may share it
	places  []numbered     // ascending, with holes
	open    int            // places that are no holes
}

// numbered is a socket in its place; nil once it has left it.
type numbered struct {
	number uint64
	socket *Socket
}

// chunk is how many places part looks at.
const chunk = 256

// add puts s last.
func (o *order) add(s *Socket) {
	if o.numbers == nil {
		o.numbers = &o.own
	}
	number := o.numbers.Add(1)
	s.number.Store(number)
	o.places = append(o.places, numbered{number, s})
	o.open++
}

// remove takes s out, if it is in.
func (o *order) remove(s *Socket) {
	i := o.after(s.number.Load() - 1)
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

// all returns the sockets.
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
// of the last of these places. If that is number itself, there are no more.
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
