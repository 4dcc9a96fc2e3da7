package revindex

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestClockOffset checks that a difference of the clocks is measured, and is
// logged once each time it occurs (D10).
func TestClockOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newFaulty(), &logLines{}
		x := startIndex(t, Config{Log: log, Logger: lines.logger()})
		warnings := 0
		for _, step := range []struct {
			ahead time.Duration
			warn  bool
		}{
			{0, false}, {999 * time.Millisecond, false}, {2 * time.Second, true}, {700 * time.Millisecond, false}, {2 * time.Second, false},
			{-2 * time.Second, false}, {0, false}, {-time.Second, true}, {0, false}, {5 * time.Minute, true}, {-5 * time.Minute, false}, {0, false},
		} {
			log.change(func(f *faulty) { f.ahead = step.ahead })
			time.Sleep(5 * contactEvery)
			if got := x.ClockOffset(); got != step.ahead {
				t.Errorf("%v ahead, want %v", got, step.ahead)
			}
			if step.warn {
				warnings++
			}
			if n := lines.count("the clock of this node differs"); n != warnings {
				t.Errorf("%v ahead: %d warnings, want %d", step.ahead, n, warnings)
			}
		}
		if lines.count("level=WARN") != warnings || lines.count("ahead=5m0s") != 1 {
			t.Errorf("log: %s", lines.String())
		}
	})
}

// TestClockOffsetIsKnownAtOnce checks that a node whose clock is wrong knows it
// when it is ready.
func TestClockOffsetIsKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFaulty()
		log.ahead = 5 * time.Minute
		x := startIndex(t, Config{Log: log})
		<-x.Ready()
		if got := x.ClockOffset(); got != log.ahead || got < MaxClockOffset {
			t.Errorf("%v ahead, want %v", got, log.ahead)
		}
	})
}

// TestClockOffsetIsTheLeast checks that the offset is the smallest one of the
// recent reads, and that older reads are forgotten.
func TestClockOffsetIsTheLeast(t *testing.T) {
	var c clocks
	now := time.Now()
	for _, step := range []struct{ ahead, want time.Duration }{{5, 5}, {-3, -3}, {7, -3}, {4, -3}, {4, -3}, {8, 4}, {8, 4}, {8, 4}, {8, 8}, {0, 0}} {
		if c.add(now.Add(step.ahead), now, now.Add(step.ahead)); c.offset() != step.want {
			t.Errorf("%d ahead: the offset is %d, want %d", step.ahead, c.offset(), step.want)
		}
	}
}

// TestClockOffsetOfSlowReads checks that slow reads are not mistaken for a
// difference of the clocks, and that a real difference is not overstated.
func TestClockOffsetOfSlowReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newFaulty(), &logLines{}
		log.slow = 1900 * time.Millisecond
		x := startIndex(t, Config{Log: log, Logger: lines.logger()})
		time.Sleep(time.Minute)
		if got := x.ClockOffset(); got != 0 || lines.String() != "" {
			t.Errorf("%v ahead: %s", got, lines.String())
		}
		for _, sign := range []time.Duration{-1, 1} {
			log.change(func(f *faulty) { f.ahead = sign * 3 * time.Second })
			time.Sleep(time.Minute)
			if got, want := x.ClockOffset(), sign*(3*time.Second-log.slow/2); got != want {
				t.Errorf("%v ahead, want %v", got, want)
			}
		}
		log.change(func(f *faulty) { f.ahead = -500 * time.Millisecond })
		time.Sleep(time.Minute)
		if got := x.ClockOffset(); got != 0 {
			t.Errorf("%v ahead, which is not proven", got)
		}
	})
}
