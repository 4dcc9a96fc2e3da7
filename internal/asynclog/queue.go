package asynclog

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A queue holds lines until its goroutine has written them.
type queue struct {
	to    io.Writer
	quota int
	// Called when lines can be written again, with the numbers of lines that
	// were dropped since the last call.
	reportLost func([classes]uint64)
	dropped    [classes]atomic.Uint64
	wake       chan struct{} // contains a token while there may be work
	ended      chan struct{} // closed when run has returned

	mu     sync.Mutex
	batch  batch
	held   [classes]int // bytes of each class in batch
	closed bool
}

// A batch is a list of queued lines.
type batch struct {
	text  []byte
	lines []lineEnd
}

// A lineEnd is the end of a line in a batch.
type lineEnd struct {
	class Class
	at    int
}

func newQueue(to io.Writer, quota int) *queue {
	return &queue{to: to, quota: quota, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// A lineWriter is an io.Writer that queues the lines of one class.
type lineWriter struct {
	queue *queue
	class Class
	// Whether the lines are about the log itself. They are accepted while the
	// queue closes.
	own bool
}

// Write queues a line, or drops and counts it. It never returns an error.
func (w *lineWriter) Write(line []byte) (int, error) {
	q := w.queue
	q.mu.Lock()
	fits := (w.own || !q.closed) && q.held[w.class]+len(line) <= q.quota
	if fits {
		q.held[w.class] += len(line)
		q.batch.text = append(q.batch.text, line...)
		q.batch.lines = append(q.batch.lines, lineEnd{w.class, len(q.batch.text)})
	}
	q.mu.Unlock()
	if !fits {
		q.dropped[w.class].Add(1)
		return len(line), nil
	}
	q.wakeWriter()
	return len(line), nil
}

func (q *queue) wakeWriter() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run writes queued lines until the queue is closed and empty. Lines that
// cannot be written, for example because the disk is full, are dropped.
func (q *queue) run() {
	defer close(q.ended)
	var spare batch
	var reported [classes]uint64
	torn := false // the last line was written incompletely
	for {
		q.mu.Lock()
		b, closed := q.batch, q.closed
		q.batch, q.held = batch{spare.text[:0], spare.lines[:0]}, [classes]int{}
		q.mu.Unlock()
		spare = b
		if len(b.lines) == 0 {
			if closed {
				return
			}
			<-q.wake
			continue
		}
		if torn {
			if _, err := io.WriteString(q.to, "\n"); err != nil {
				q.countDropped(b, 0)
				continue
			}
			torn = false
		}
		n, err := q.to.Write(b.text)
		if err != nil {
			torn = q.countDropped(b, n)
			continue
		}
		if now := q.counts(); now != reported {
			var since [classes]uint64
			for class := range now {
				since[class] = now[class] - reported[class]
			}
			reported = now
			q.reportLost(since)
		}
	}
}

// countDropped counts the lines of a batch that were not completely written. n
// is the number of bytes written. It reports whether a line was written in
// part.
func (q *queue) countDropped(b batch, n int) (torn bool) {
	begin := 0
	for _, line := range b.lines {
		if line.at > n {
			q.dropped[line.class].Add(1)
			torn = torn || begin < n
		}
		begin = line.at
	}
	return torn
}

func (q *queue) counts() (n [classes]uint64) {
	for class := range n {
		n[class] = q.dropped[class].Load()
	}
	return n
}

// close refuses further lines and waits for run to return. It reports whether
// run returned in time.
func (q *queue) close(within time.Duration) bool {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wakeWriter()
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	select {
	case <-q.ended:
		return true
	case <-timeout.C:
		return false
	}
}
