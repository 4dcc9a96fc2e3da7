package asynclog

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A queue holds lines until its goroutine has written them.
type queue struct {
	to      io.Writer
	quota   int
	lost    func([classes]uint64) // called when lines can be written again
	dropped [classes]atomic.Uint64
	wake    chan struct{} // holds one token while there may be something to do
	ended   chan struct{} // closed when run has returned

	mu     sync.Mutex
	buffer []byte       // lines that wait
	held   [classes]int // bytes of each class in buffer
	closed bool
}

func newQueue(to io.Writer, quota int) *queue {
	return &queue{to: to, quota: quota, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// An entry is the writer of the lines of one class.
type entry struct {
	queue *queue
	class Class
	own   bool // they are about the log itself, and may come while it is closed
}

// Write queues a line, or drops and counts it. It never fails.
func (e *entry) Write(line []byte) (int, error) {
	q := e.queue
	q.mu.Lock()
	fits := (e.own || !q.closed) && q.held[e.class]+len(line) <= q.quota
	if fits {
		q.held[e.class] += len(line)
		q.buffer = append(q.buffer, line...)
	}
	q.mu.Unlock()
	if !fits {
		q.dropped[e.class].Add(1)
		return len(line), nil
	}
	q.rouse()
	return len(line), nil
}

func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run writes what waits, until the queue is closed and empty.
func (q *queue) run() {
	defer close(q.ended)
	var spare []byte
	var told [classes]uint64
	for {
		q.mu.Lock()
		lines, closed := q.buffer, q.closed
		q.buffer, q.held = spare[:0], [classes]int{}
		q.mu.Unlock()
		spare = lines
		if len(lines) == 0 {
			if closed {
				return
			}
			<-q.wake
			continue
		}
		_, err := q.to.Write(lines)
		if err != nil {
			continue // nobody can be told
		}
		if now := q.counts(); now != told {
			var since [classes]uint64
			for class := range now {
				since[class] = now[class] - told[class]
			}
			told = now
			q.lost(since)
		}
	}
}

func (q *queue) counts() (n [classes]uint64) {
	for class := range n {
		n[class] = q.dropped[class].Load()
	}
	return n
}

// close lets no more lines in, and waits for run to end.
func (q *queue) close(within time.Duration) bool {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.rouse()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-q.ended:
		return true
	case <-late.C:
		return false
	}
}
