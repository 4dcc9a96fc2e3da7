package asynclog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A pipe is a writer whose reader may stop reading.
type pipe struct {
	mu      sync.Mutex
	text    bytes.Buffer
	stopped chan struct{} // nil, or closed when the reader continues
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	stopped := p.stopped
	p.mu.Unlock()
	if stopped != nil {
		<-stopped
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *pipe) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func text(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }

func byMessage(r slog.Record) Class {
	switch {
	case strings.HasPrefix(r.Message, "refused"):
		return Refusal
	case strings.HasPrefix(r.Message, "logged"):
		return Audit
	}
	return Ordinary
}

// TestReaderStops checks that callers do not wait for the reader, the queue is
// bounded, and a flood of one class leaves room for the others. When the reader
// continues, the log reports how many lines were lost.
func TestReaderStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{stopped: make(chan struct{})}
		h := New(Config{Writer: p, Format: text, Classify: byMessage, Quota: 10_000})
		log := slog.New(h).With("a", 1).WithGroup("g")
		log.Info("first")
		synctest.Wait() // the goroutine is blocked in a write
		for i := range 1000 {
			log.Info("refused", "i", i)
		}
		log.Info("logged in", "user", "ada")
		log.Info("plain")
		if d := h.Dropped(Refusal); d < 700 || d > 950 || h.Dropped(Audit)+h.Dropped(Ordinary) != 0 {
			t.Errorf("dropped %d refusals, %d audit lines, %d others", d, h.Dropped(Audit), h.Dropped(Ordinary))
		}
		close(p.stopped)
		if !h.Close(time.Second) {
			t.Fatal("Close gave up")
		}
		got := p.String()
		for _, want := range []string{"msg=first a=1\n", "msg=\"logged in\" a=1 g.user=ada\n", "msg=plain a=1\n", fmt.Sprintf("ordinary=0 refusal=%d audit=0\n", h.Dropped(Refusal))} {
			if !strings.Contains(got, want) {
				t.Errorf("the log lacks %q", want)
			}
		}
		if kept := strings.Count(got, "msg=refused"); kept+int(h.Dropped(Refusal)) != 1000 {
			t.Errorf("%d kept, %d dropped of 1000", kept, h.Dropped(Refusal))
		}
	})
}

// TestClassSpace checks that each class has exactly the space that
// docs/operations.md gives, however full the others are.
func TestClassSpace(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	const room = 1 << 20
	if sentence := fmt.Sprintf("Up to %d MiB is buffered for each of three classes of lines", room>>20); !strings.Contains(strings.Join(strings.Fields(string(page)), " "), sentence) || classes != 3 {
		t.Errorf("the page does not say %q, or there are %d classes", sentence, classes)
	}
	bare := func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.MessageKey {
				return a
			}
			return slog.Attr{}
		}})
	}
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{stopped: make(chan struct{})}
		h := New(Config{Writer: p, Format: bare, Classify: byMessage})
		slog.New(h).Info("stuck")
		synctest.Wait()
		for class, word := range map[Class]string{Ordinary: "x", Refusal: "refused", Audit: "logged"} {
			line := word + strings.Repeat("x", 1024-len("msg=\n")-len(word))
			for range room / 1024 {
				slog.New(h).Info(line)
			}
			if n := h.Dropped(class); n != 0 {
				t.Errorf("%v: %d of %d bytes are dropped", class, n*1024, room)
			}
			slog.New(h).Info(word)
			if n := h.Dropped(class); n != 1 {
				t.Errorf("%v: %d lines beyond %d bytes are dropped", class, n, room)
			}
		}
		close(p.stopped)
		if !h.Close(time.Second) {
			t.Fatal("Close gave up")
		}
		if n := len(p.String()); n < 3*room || n > 3*room+1024 {
			t.Errorf("%d bytes were written", n)
		}
	})
}

// A disk is a writer that may be full.
type disk struct {
	text bytes.Buffer
	room int // bytes
}

func (d *disk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	d.text.Write(b[:n])
	if n < len(b) {
		return n, errors.New("no space left")
	}
	return n, nil
}

// TestWriterFails checks that lines that the writer does not accept are counted
// as dropped. A partly written line does not run into the next one.
func TestWriterFails(t *testing.T) {
	for name, room := range map[string]int{"nothing": 0, "a whole line": len("msg=first\n"), "half a line": len("msg=first\nmsg=ref")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &disk{room: room}
				h := New(Config{Writer: d, Format: newUntimedHandler, Classify: byMessage, RefusalsPerSecond: 0})
				log := slog.New(h)
				for _, line := range []string{"first", "refused", "logged"} {
					log.Info(line)
					synctest.Wait()
				}
				d.room = 1 << 20
				log.Info("last")
				if !h.Close(time.Second) {
					t.Fatal("Close gave up")
				}
				kept := 0
				lines := strings.Split(strings.TrimSuffix(d.text.String(), "\n"), "\n")
				for i, line := range lines {
					switch line {
					case "msg=first", "msg=last":
						kept++
					case "msg=ref", "":
						if i == len(lines)-1 {
							t.Errorf("ends with %q", line)
						}
					default:
						if !strings.Contains(line, "dropped") {
							t.Errorf("a line is %q", line)
						}
					}
				}
				dropped := int(h.Dropped(Ordinary) + h.Dropped(Refusal) + h.Dropped(Audit))
				if kept+dropped != 4 || h.Dropped(Audit) != 1 || h.Dropped(Refusal) != 1 {
					t.Errorf("%d lines kept, %d dropped: %q", kept, dropped, lines)
				}
				if !strings.Contains(d.text.String(), "audit=1") {
					t.Errorf("the log does not report missing lines: %q", lines)
				}
			})
		})
	}
}

func newUntimedHandler(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
}

// TestCloseIsBounded checks that Close returns even if the reader never
// continues.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{stopped: make(chan struct{})}
		h := New(Config{Writer: p, Format: text})
		slog.New(h).Info("x")
		started := time.Now()
		if h.Close(2 * time.Second) {
			t.Error("Close reports that everything was written")
		}
		if took := time.Since(started); took != 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		slog.New(h).Info("late")
		if h.Dropped(Ordinary) != 1 {
			t.Error("a late line is not counted")
		}
		close(p.stopped)
		synctest.Wait()
	})
}

// TestCloseWaitsForTheReport checks that a pending report of refusals is
// written before the log closes.
func TestCloseWaitsForTheReport(t *testing.T) {
	started, proceed := make(chan struct{}), make(chan struct{})
	var reported atomic.Uint64
	r := &refusals{perSecond: 1, report: func(n uint64) {
		close(started)
		<-proceed
		reported.Add(n)
	}}
	for range 3 {
		r.take(time.Now())
	}
	go r.flush() // as the timer does
	<-started
	closed := make(chan uint64, 1)
	go func() {
		r.close()
		closed <- reported.Load()
	}()
	for range 1000 {
		runtime.Gosched()
	}
	close(proceed)
	if n := <-closed; n != 2 {
		t.Errorf("closed when %d of 2 were reported", n)
	}
}

// TestG14_RefusalsPerSecondAreBounded checks that refusals beyond the limit are
// counted, both in total and in one log line per second.
func TestG14_RefusalsPerSecondAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{}
		h := New(Config{Writer: p, Format: text, Classify: byMessage, RefusalsPerSecond: 100})
		log := slog.New(h)
		for range 3 {
			for range 10_000 {
				log.Info("refused")
				log.Info("logged in")
				synctest.Wait()
			}
			time.Sleep(time.Second)
		}
		h.Close(time.Second)
		got := p.String()
		if n := strings.Count(got, "msg=refused\n"); n != 300 {
			t.Errorf("%d lines of refusals in three seconds", n)
		}
		if n := strings.Count(got, "logged in"); n != 30_000 {
			t.Errorf("%d of 30000 other lines", n)
		}
		if n := strings.Count(got, "refusals=9900 limit_per_second=100"); n != 3 {
			t.Errorf("%d lines report how many were not logged", n)
		}
		if h.Suppressed() != 29_700 {
			t.Errorf("%d are counted", h.Suppressed())
		}
	})
}

// TestLinesAreWhole checks that lines of many goroutines do not mix, and those
// of each goroutine stay in order.
func TestLinesAreWhole(t *testing.T) {
	p := &pipe{}
	h := New(Config{Writer: p, Format: text})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 500 {
				slog.New(h).Info("m", "g", g, "i", i)
			}
		})
	}
	all.Wait()
	h.Close(10 * time.Second)
	next := map[int]int{}
	for line := range strings.Lines(p.String()) {
		var g, i int
		if _, err := fmt.Sscanf(line[strings.Index(line, "msg="):], "msg=m g=%d i=%d\n", &g, &i); err != nil || next[g] != i {
			t.Fatalf("%q: %v, want i=%d", line, err, next[g])
		}
		next[g]++
	}
	if len(next) != 8 || next[0] != 500 {
		t.Error(next)
	}
}
