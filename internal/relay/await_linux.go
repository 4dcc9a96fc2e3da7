package relay

import (
	"net"

	"wsauth/internal/eventloop"
)

// Await has a loop wait for what server says first, on behalf of client; what
// it then calls is called by the loop, and must not block. It reports false,
// and does nothing, where no loop can do that.
func (r *Relay) Await(client, server net.Conn, a Answer) bool {
	conn, ok := server.(*eventloop.Conn)
	if !ok || len(r.loops) == 0 {
		return false
	}
	loop := r.loopFor(client)
	fd, ok := conn.Watch(loop.poll.epoll)
	return ok && loop.newArrival(fd, a.Patience, a.Over, nil, nil, a.First)
}

// loopFor is the loop that watches one of the connections already, or the one
// whose turn it is.
func (r *Relay) loopFor(conns ...net.Conn) *loop {
	for _, conn := range conns {
		c, ok := netConn(conn).(*eventloop.Conn)
		if !ok {
			continue
		}
		epoll := c.Epoll()
		for _, l := range r.loops {
			if l.poll.epoll == epoll {
				return l
			}
		}
	}
	return r.nextLoop()
}

func (r *Relay) nextLoop() *loop { return r.loops[r.next.Add(1)%uint32(len(r.loops))] }
