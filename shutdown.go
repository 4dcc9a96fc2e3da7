package wsauth

import (
	"context"
	"slices"
	"time"
)

// endEvery is the time between the ends of two sockets when all of them end.
const endEvery = time.Millisecond

// drain ends the open sockets and the endless responses one after another.
func (g *Guard) drain(ctx context.Context) {
	open := append(g.sockets.all(), slices.DeleteFunc(g.requests.all(), func(s *Socket) bool { return !s.isEndless() })...)
	every := endEvery
	if deadline, ok := ctx.Deadline(); ok {
		every = min(every, time.Until(deadline)/2/time.Duration(max(len(open), 1)))
	}
	begun := time.Now()
	for i, s := range open {
		wait(ctx, time.Until(begun.Add(time.Duration(i)*every)))
		s.End(Restarting)
	}
}

// wait returns after d, or when ctx is done.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
