package relay

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"wsauth/internal/connlimit"
	"wsauth/internal/eventloop"
)

// An arrival is a connection of which something is to come first: the request
// of a client, or an upstream's answer. It goes on noting what epoll tells of
// the socket until a tunnel is in its place, since epoll tells it once.
type arrival struct {
	loop  *loop
	timed timed
	fd    int32
	until time.Duration // when it has taken too long
	over  func() bool   // nobody waits any more; may be nil
	first func(data []byte, err error)
	fault error // epoll does not watch it
	place *connlimit.Place
	begin *prologue     // nil, or what the client must say before first
	after time.Duration // how long first may take after that

	readable, final bool // as in a lane
}

// ask is how often it is asked whether anybody waits.
const ask = 100 * time.Millisecond

// newArrival has the loop wait for what comes from fd, unless it is closed.
// first is called by the loop. A place waits as long as the loop does.
func (l *loop) newArrival(fd int32, patience time.Duration, over func() bool, place *connlimit.Place, begin *prologue, first func([]byte, error)) bool {
	a := &arrival{loop: l, fd: fd, over: over, place: place, begin: begin, after: patience, first: first}
	a.timed = timed{task: a, index: untimed}
	a.until = time.Since(l.born) + patience
	if begin != nil {
		a.until = time.Since(l.born) + begin.within
	}
	return l.adopt(a.start, a.add)
}

// giveUp has the loop wait no more. It may be called by anybody.
func (a *arrival) giveUp() { a.loop.order(func() { a.tell(nil, errOver) }) }

// start has epoll tell of the socket.
func (a *arrival) start() time.Duration {
	if err := a.loop.poll.watch(a.fd, unix.EPOLL_CTL_ADD, 0); err != nil {
		a.fault, a.until = err, 0
	}
	return a.next()
}

// add begins.
func (a *arrival) add() {
	a.loop.assign(a.fd, a)
	a.loop.timers.set(&a.timed, a.next())
	if a.place != nil {
		a.place.Wait(a.giveUp)
	}
}

// next is when there is something to do, if nothing comes.
func (a *arrival) next() time.Duration {
	if a.over == nil {
		return a.until
	}
	return min(a.until, time.Since(a.loop.born)+ask)
}

// event takes what epoll told.
func (a *arrival) event(_ int32, events uint32) {
	a.readable = true
	a.final = a.final || events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	for a.first != nil {
		data := a.loop.buffer[room:]
		n, err := eventloop.Recv(a.fd, data)
		if errors.Is(err, unix.EAGAIN) {
			a.readable = false
			return
		}
		if n == 0 && err == nil {
			err = io.EOF
		}
		a.readable = n == readSize || a.final
		data = data[:n]
		if a.begin != nil && err == nil {
			data, err = a.introduced(data)
		}
		if len(data) > 0 || err != nil {
			a.tell(data, err)
			return
		}
		if !a.readable { // there is nothing behind the prologue yet
			return
		}
	}
}

// introduced takes data for the prologue, and returns what follows it.
func (a *arrival) introduced(data []byte) (rest []byte, err error) {
	rest, done, err := a.begin.take(data)
	if !done || err != nil {
		return nil, err
	}
	a.begin = nil
	a.until = time.Since(a.loop.born) + a.after
	a.loop.timers.remove(&a.timed)
	a.loop.timers.set(&a.timed, a.next())
	return rest, nil
}

// tick looks whether it has taken too long, or nobody waits any more.
func (a *arrival) tick() {
	a.loop.timers.remove(&a.timed)
	switch {
	case a.fault != nil:
		a.tell(nil, a.fault)
	case a.loop.now >= a.until:
		if a.begin != nil {
			a.begin.refuse(os.ErrDeadlineExceeded)
		}
		a.tell(nil, os.ErrDeadlineExceeded)
	case a.over != nil && a.over():
		a.tell(nil, errOver)
	default:
		a.loop.timers.set(&a.timed, a.next())
	}
}

var (
	errOver   = errors.New("nobody waits for it any more")
	errClosed = errors.New("the relay is closed")
)

// kill is for the end of the loop.
func (a *arrival) kill(time.Duration) { a.tell(nil, errClosed) }

// tell tells what came, once.
func (a *arrival) tell(data []byte, err error) {
	first := a.first
	if first == nil {
		return
	}
	a.first, a.over = nil, nil
	a.loop.timers.remove(&a.timed)
	first(data, err)
}
