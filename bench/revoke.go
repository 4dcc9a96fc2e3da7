package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"wsauth/internal/connlimit"
)

// revoke prints how long it takes to close open sockets: from the command to
// the server until the client has read the close frame. The command is sent
// over a pipe and the frame over TCP. Both are included in the time, and so is
// the client's own work.
func revoke() error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := revokeIn("memory"); err != nil {
		return err
	}
	return revokeIn("bolt", filepath.Join(dir, "revocations"))
}

func revokeIn(store string, file ...string) error {
	const sockets = 10_000
	if err := canOpen(sockets); err != nil {
		return err
	}
	c, err := start(file...)
	if err != nil {
		return err
	}
	defer c.stop()
	crowd := newCrowd(c)
	defer crowd.leave()
	if err := crowd.revokeEach(store, sockets); err != nil {
		return err
	}
	return crowd.revokeAll(store, sockets)
}

// tries is the maximum number of measurements of a figure: if it misses its
// target, other programs may have used the processors.
const tries = 3

// revokeEach prints how long it takes to close one of many sockets.
func (c *crowd) revokeEach(store string, sockets int) error {
	const alone, target = 1_000, 0.050 // seconds
	p99 := 0.0
	for range tries {
		if err := c.open(sockets - len(c.sockets)); err != nil {
			return err
		}
		waits, err := c.endEach(alone)
		if err != nil {
			return err
		}
		p99 = waits[alone*99/100]
		fmt.Printf("revoke: %s, %d open sockets: one logged out, close frame after p50 %.2f ms, p99 %.2f ms, last %.2f ms (%d of them), p99 at most %.0f ms\n",
			store, sockets, waits[alone/2]*1e3, p99*1e3, waits[alone-1]*1e3, alone, target*1e3)
		if p99 <= target {
			break
		}
	}
	return checkTarget("revoke one", p99, target)
}

// revokeAll prints how long it takes to close all sockets of one user.
func (c *crowd) revokeAll(store string, sockets int) error {
	const target = 0.500 // seconds
	last := 0.0
	for range tries {
		if err := c.open(sockets - len(c.sockets)); err != nil {
			return err
		}
		before, err := c.server.ask("cpu")
		if err != nil {
			return err
		}
		var first float64
		if first, last, err = c.endAll(sockets); err != nil {
			return err
		}
		after, err := c.server.settle(before.Open - sockets)
		if err != nil {
			return err
		}
		fmt.Printf("revoke: %s, %d sockets of one user, logged out everywhere: first close frame after %.1f ms, last %.1f ms, at most %.0f ms (%.0f ms of the server's CPU)\n",
			store, sockets, first*1e3, last*1e3, target*1e3, (after.CPU-before.CPU).Seconds()*1e3)
		if last <= target {
			break
		}
	}
	return checkTarget("revoke all", last, target)
}

// canOpen returns an error if this process may not open n sockets.
func canOpen(sockets int) error {
	const others = 100
	if limit := connlimit.Descriptors(); limit < sockets+others {
		return fmt.Errorf("a process may open %d files, and this needs %d: see ulimit -n", limit, sockets+others)
	}
	return nil
}

// A crowd is many sockets of one user, each with a separate login.
type crowd struct {
	server  *child
	sockets map[string]*net.TCPConn // by sid
	ends    chan ending
}

// An ending is the close frame of a socket.
type ending struct {
	sid  string
	at   time.Time
	code uint16 // 0: it ended without one
}

func newCrowd(server *child) *crowd {
	return &crowd{server, map[string]*net.TCPConn{}, make(chan ending, 1000)}
}

// open adds n sockets.
func (c *crowd) open(n int) error {
	for range n {
		var l userSession
		if err := c.server.tell("login ada", &l); err != nil {
			return err
		}
		conn, r, err := open(c.server.Addr, "/guarded", l.Token)
		if err != nil {
			return fmt.Errorf("socket %d: %w", len(c.sockets), err)
		}
		_ = conn.SetDeadline(time.Time{})
		c.sockets[l.SID] = conn
		go watchEnd(l.SID, r, c.ends)
	}
	return nil
}

// watchEnd reads until the socket of a session ends, and sends its ending.
func watchEnd(sid string, r *bufio.Reader, ends chan<- ending) {
	var head [4]byte
	e := ending{sid: sid}
	if _, err := io.ReadFull(r, head[:]); err == nil {
		e.code = binary.BigEndian.Uint16(head[2:])
	}
	e.at = time.Now()
	ends <- e
}

// next waits for the next socket that ends, and closes this side of it.
func (c *crowd) next() (ending, error) {
	const patience = 30 * time.Second
	select {
	case e := <-c.ends:
		c.sockets[e.sid].Close()
		delete(c.sockets, e.sid)
		if e.code != 3000 {
			return e, fmt.Errorf("a socket ended with close code %d", e.code)
		}
		return e, nil
	case <-time.After(patience):
		return ending{}, fmt.Errorf("no close frame within %v", patience)
	}
}

// endEach ends n random sockets, one after the other, and returns how many
// seconds each took, in ascending order.
func (c *crowd) endEach(n int) ([]float64, error) {
	sids := make([]string, 0, len(c.sockets))
	for sid := range c.sockets {
		sids = append(sids, sid)
	}
	rand.Shuffle(len(sids), func(i, j int) { sids[i], sids[j] = sids[j], sids[i] })
	var waits []float64
	for _, sid := range sids[:n] {
		started := time.Now()
		ended := 0
		if err := c.server.tell("logout "+sid, &ended); err != nil {
			return nil, err
		}
		e, err := c.next()
		if err != nil {
			return nil, err
		}
		if e.sid != sid || ended != 1 {
			return nil, fmt.Errorf("the server ended %d sockets, or the wrong one", ended)
		}
		waits = append(waits, e.at.Sub(started).Seconds())
	}
	slices.Sort(waits)
	return waits, nil
}

// endAll ends all n sockets with one revocation, and returns the seconds until
// the first and until the last one has ended.
func (c *crowd) endAll(n int) (first, last float64, err error) {
	started := time.Now()
	ended := make(chan error, 1)
	go func() {
		var sockets int
		err := c.server.tell("logout-everywhere ada", &sockets)
		if err == nil && sockets != n {
			err = fmt.Errorf("the server ended %d sockets, not %d", sockets, n)
		}
		ended <- err
	}()
	first = -1
	for range n {
		e, err := c.next()
		if err != nil {
			return 0, 0, err
		}
		took := e.at.Sub(started).Seconds()
		if first < 0 {
			first = took
		}
		first, last = min(first, took), max(last, took)
	}
	return first, last, <-ended
}

// leave closes the remaining sockets.
func (c *crowd) leave() {
	for _, conn := range c.sockets {
		_ = conn.SetLinger(0) // leave no port in TIME_WAIT
		_ = conn.Close()
	}
	for range c.sockets {
		<-c.ends
	}
}
