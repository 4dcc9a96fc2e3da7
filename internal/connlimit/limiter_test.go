package connlimit

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func addr(text string) net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text))
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		descriptors, connections, perAddress int
		want                                 Limits
	}{
		{256, 0, 0, Limits{256, 104, 52, 104, 12}},
		{1024, 0, 0, Limits{1024, 448, 224, 448, 32}},
		{1 << 20, 0, 0, Limits{1 << 20, 523776, 261888, 523776, 256}},
		{1024, 100, 0, Limits{1024, 100, 50, 796, 32}},
		{1024, 100, 1000, Limits{1024, 100, 100, 796, 32}},
		{1024, 10_000, 10, Limits{1024, 448, 10, 448, 32}},
		{16, 0, 0, Limits{16, 2, 1, 2, 12}},
	} {
		if got := Within(tt.descriptors, tt.connections, tt.perAddress); got != tt.want {
			t.Errorf("%d, %d, %d: %+v, want %+v", tt.descriptors, tt.connections, tt.perAddress, got, tt.want)
		}
	}
}

// TestEnter checks that a new connection evicts the one that has waited
// longest: of the same address if the address has reached its limit, and
// otherwise of all. Busy connections are not evicted, and a few more are
// accepted to get an error response.
func TestEnter(t *testing.T) {
	l := New(Limits{Connections: 4, PerAddress: 3, Upstreams: 10, Excess: 2}, nil)
	enter := func(from string, want bool) *Place {
		t.Helper()
		p, ok := l.Enter(addr(from))
		if ok != want {
			t.Fatalf("a place for %s: %v", from, ok)
		}
		return p
	}
	var evicted []string
	wait := func(p *Place, name string) {
		p.Wait(func() {
			evicted = append(evicted, name)
			p.Release()
		})
	}
	wait(enter("[2001:db8::1]:1", true), "first")
	wait(enter("[2001:db8::2]:2", true), "second")
	busy := enter("[2001:db8::3]:3", true) // of the same /64
	other := enter("192.0.2.1:1", true)
	wait(enter("[2001:db8::4]:4", true), "third") // both limits are reached
	if len(evicted) != 1 || evicted[0] != "first" {
		t.Fatalf("evicted: %q", evicted)
	}
	wait(enter("[::ffff:192.0.2.1]:2", true), "fourth") // only the limit of all connections is reached
	wait(enter("192.0.2.1:3", true), "fifth")
	wait(enter("192.0.2.1:4", true), "sixth")
	if len(evicted) != 4 || evicted[1] != "second" || evicted[2] != "third" || evicted[3] != "fourth" {
		t.Fatalf("evicted: %q", evicted)
	}
	first, second := enter("[2001:db8::5]:5", true), enter("192.0.2.7:5", true)
	_ = second
	if first.Excess() || busy.Excess() || other.Excess() {
		t.Error("a place that is not in excess")
	}
	if !busy.Upgrade(netip.Prefix{}) || first.network != busy.network {
		t.Error("a busy one opens no socket")
	}
	x, y := enter("[2001:db8::6]:5", true), enter("192.0.2.8:5", true)
	enter("192.0.2.9:5", false)
	if !x.Excess() || !y.Excess() || x.Upgrade(netip.Prefix{}) {
		t.Error("places in excess")
	}
	for range 2 {
		x.Release()
	}
	wait(x, "released")
	enter("192.0.2.9:6", true).Release()
	if open, refused := l.Usage(); open != 5 || refused != 5 {
		t.Errorf("%d open, %d refused", open, refused)
	}
}

// TestUpgrade checks that the last eighth of the connections may not become
// sockets.
func TestUpgrade(t *testing.T) {
	l := New(Limits{Connections: 16, PerAddress: 8, Upstreams: 9, Excess: 1}, nil)
	var places []*Place
	upgraded := 0
	for i := range 16 {
		p, _ := l.Enter(addr([]string{"192.0.2.1:1", "192.0.2.2:1"}[i/8]))
		places = append(places, p)
		if p.Upgrade(netip.Prefix{}) {
			upgraded++
			if !p.Upgrade(netip.Prefix{}) {
				t.Error("again")
			}
		}
		if i == 7 && upgraded != 7 {
			t.Errorf("%d of 8 of one address", upgraded)
		}
	}
	if upgraded != 9 {
		t.Errorf("%d of 16, where upstreams have room for 9", upgraded)
	}
	if l.ReserveUpstream() {
		t.Error("another connection to an upstream")
	}
	for _, p := range places {
		p.Release()
	}
	if !l.ReserveUpstream() {
		t.Error("none where all are free")
	}
	l.ReleaseUpstream()
	if l.upstreams+l.places+l.sockets+l.excess+len(l.networks) != 0 {
		t.Errorf("left: %+v", l)
	}
}

// TestReports checks that refusals are reported at most every ten seconds, with
// their number.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []int
		l := New(Limits{Connections: 1, PerAddress: 1}, func(limit string, n int) {
			if limit != ByAddress {
				t.Errorf("limit %q", limit)
			}
			reports = append(reports, n)
		})
		for range 20 {
			_, _ = l.Enter(addr("192.0.2.1:1"))
			time.Sleep(time.Second)
		}
		if len(reports) != 2 || reports[0] != 1 || reports[1] != 10 {
			t.Errorf("got reports %v", reports)
		}
	})
}

// TestCounts checks that after any sequence of calls, no limit is exceeded, and
// all counts return to zero.
func TestCounts(t *testing.T) {
	limits := Limits{Connections: 12, PerAddress: 5, Upstreams: 8, Excess: 3}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		l := New(limits, nil)
		var open []*Place
		for range 300 {
			i := 0
			if len(open) > 0 {
				i = random.IntN(len(open))
			}
			switch what := random.IntN(6); {
			case what < 2 || len(open) == 0:
				if p, ok := l.Enter(addr([]string{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "[2001:db8::1]:1"}[random.IntN(4)])); ok {
					open = append(open, p)
				}
			case what == 2:
				open[i].Wait(func() {})
			case what == 3:
				open[i].Busy()
			case what == 4:
				open[i].Upgrade(netip.Prefix{})
			default:
				open[i].Release()
				open = append(open[:i], open[i+1:]...)
			}
			if n, _ := l.Usage(); n != len(open) || l.places > limits.Connections || l.excess > limits.Excess || l.sockets > ofSockets(limits.Connections) || l.sockets > limits.Upstreams {
				t.Fatalf("seed %d: %d open, counted: %+v", seed, len(open), l)
			}
			sum := 0
			for _, n := range l.networks {
				if sum += n.places; n.places > limits.PerAddress || n.sockets > ofSockets(limits.PerAddress) {
					t.Fatalf("seed %d: %+v", seed, n)
				}
			}
			if sum != l.places {
				t.Fatalf("seed %d: %d of networks, %d in all", seed, sum, l.places)
			}
		}
		for _, p := range open {
			p.Release()
		}
		if l.places+l.sockets+l.excess+len(l.networks) != 0 || l.waiting.first != nil || l.waiting.last != nil {
			t.Fatalf("seed %d: left: %+v", seed, l)
		}
	}
}

// TestNil checks that a nil limiter has no limits.
func TestNil(t *testing.T) {
	p, ok := (*Limiter)(nil).Enter(addr("192.0.2.1:1"))
	p.Wait(func() { t.Error("evicted") })
	if !ok || !p.Busy() || p.Excess() || !p.Upgrade(netip.Prefix{}) || Of(nil) != nil {
		t.Error("a limit")
	}
	p.Release()
}

// TestListener checks that connections hold a place until they are closed.
// Those without a place are closed at once.
func TestListener(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = t.TempDir() + "/s"
		}
		bound, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer bound.Close()
		l := New(Limits{Connections: 1, PerAddress: 1, Upstreams: 1}, nil)
		listener := l.Listener(bound)
		dial := func() net.Conn {
			t.Helper()
			conn, err := net.Dial(network, bound.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		dial()
		first, err := listener.Accept()
		if err != nil || Of(first) == nil {
			t.Fatal(err)
		}
		late := dial()
		accepted := make(chan net.Conn)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- conn
		}()
		if _, err := late.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: too many: %v", network, err)
		}
		_ = first.Close()
		dial()
		_ = (<-accepted).Close()
		if open, _ := l.Usage(); open != 0 {
			t.Errorf("%s: %d open", network, open)
		}
	}
}

// TestBound checks that clients that only connect to the operators' address
// cannot keep operators out.
func TestBound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() { _ = server.Serve(Bound(server, l)) }()
	defer server.Close()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		return conn
	}
	first := dial()
	for range ForOperators(Descriptors()).Connections {
		dial()
	}
	if _, err := first.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
		t.Errorf("the one that has waited longest: %v", err)
	}
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
}
