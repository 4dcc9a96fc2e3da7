package wsauth

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// TestOrderEqualsAList checks that an order lists the same sockets as a plain
// slice when sockets are added and removed.
func TestOrderEqualsAList(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		g := &Guard{open: newRegistries(Limits{})}
		var open, gone []*Socket
		for range 40 {
			for range random.IntN(2 * chunk) {
				s := &Socket{}
				g.open.sockets.order.add(s)
				open = append(open, s)
			}
			g.checkOrder(t, random, open)
			for range random.IntN(len(open) + 1) {
				i := random.IntN(len(open))
				gone = append(gone, open[i])
				g.open.sockets.order.remove(open[i])
				open = slices.Delete(open, i, i+1)
			}
			for _, s := range gone { // removing them again does nothing
				g.open.sockets.order.remove(s)
			}
			g.open.sockets.order.remove(&Socket{})
			g.checkOrder(t, random, open)
		}
	}
}

func (g *Guard) checkOrder(t *testing.T, random *rand.Rand, open []*Socket) {
	t.Helper()
	if got := g.open.sockets.all(); !slices.Equal(got, open) || g.Stats().Sockets != len(open) {
		t.Fatalf("%d sockets, counted %d, want %d", len(got), g.Stats().Sockets, len(open))
	}
	if holes := len(g.open.sockets.order.places) - len(open); holes > len(open)+chunk {
		t.Fatalf("%d holes beside %d sockets", holes, len(open))
	}
	after, want := uint64(0), open
	if len(open) > 0 {
		i := random.IntN(len(open))
		after, want = open[i].ID(), open[i+1:]
	}
	if got := slices.Collect(g.Sockets(Filter{All: true, After: after})); !slices.Equal(got, want) {
		t.Fatalf("%d sockets after %d, want %d", len(got), after, len(want))
	}
}

// TestAllWhileSocketsComeAndGo checks that an iteration over all sockets yields
// each socket that stays open once, while others open and close.
func TestAllWhileSocketsComeAndGo(t *testing.T) {
	g := &Guard{open: newRegistries(Limits{})}
	enter := func() *Socket {
		s := &Socket{}
		if _, err := g.open.sockets.admit(s); err != nil {
			t.Error(err)
		}
		return s
	}
	stay := map[*Socket]bool{}
	for i := range 10 * chunk {
		if s := enter(); i%3 == 0 {
			stay[s] = true
		}
	}
	var others []*Socket
	for s := range g.Sockets(Filter{All: true}) {
		if !stay[s] {
			others = append(others, s)
		}
	}
	begun, stop := make(chan struct{}), make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			at := i % len(others)
			g.open.sockets.forget(others[at])
			others[at] = enter()
			if i == 0 {
				close(begun)
			}
		}
	})
	<-begun
	for range 20 {
		seen, last := map[*Socket]int{}, uint64(0)
		for s := range g.Sockets(Filter{All: true}) {
			seen[s]++
			if s.ID() <= last {
				t.Fatalf("%d comes after %d", s.ID(), last)
			}
			if last = s.ID(); len(seen) > 40*chunk {
				break // sockets come as fast as they are yielded
			}
		}
		for s := range stay {
			if seen[s] != 1 {
				t.Fatalf("a socket that stays was seen %d times", seen[s])
			}
		}
	}
	close(stop)
	churn.Wait()
	for range g.Sockets(Filter{All: true}) {
		return // an iteration may end early
	}
}

// BenchmarkPart measures how long the lock is held for one part of an iteration
// over 100,000 sockets.
func BenchmarkPart(b *testing.B) {
	g := &Guard{open: newRegistries(Limits{})}
	for range 100_000 {
		if _, err := g.open.sockets.admit(&Socket{}); err != nil {
			b.Fatal(err)
		}
	}
	var number uint64
	for b.Loop() {
		sockets, last := g.open.sockets.part(number)
		if number = last; len(sockets) == 0 {
			number = 0
		}
	}
}

// TestEmptyFilter checks that a filter without a name selects no socket: the
// names often come from a token, which may lack the claim.
func TestEmptyFilter(t *testing.T) {
	g := &Guard{open: newRegistries(Limits{})}
	if _, err := g.open.sockets.admit(&Socket{}); err != nil {
		t.Fatal(err)
	}
	if n := len(slices.Collect(g.Sockets(Filter{}))) + len(slices.Collect(g.Sockets(Filter{After: 0, Session: ""}))); n != 0 {
		t.Errorf("%d selected", n)
	}
	if n := len(slices.Collect(g.Sockets(Filter{All: true}))); n != 1 {
		t.Errorf("%d of one selected", n)
	}
}
