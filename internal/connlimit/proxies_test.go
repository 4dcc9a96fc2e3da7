package connlimit

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
)

// behindProxy returns a limiter that knows 10.0.0.1 as a proxy.
func behindProxy(l Limits) *Limiter {
	limiter := New(l, nil)
	limiter.Exempt(func(peer net.Addr) bool { return peer.(*net.TCPAddr).IP.Equal(net.IPv4(10, 0, 0, 1)) })
	return limiter
}

const proxy = "10.0.0.1:1"

// source returns the source address of a PROXY header. client is "" for a
// connection of the proxy itself.
func source(client string) netip.AddrPort {
	if client == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(client)
}

func prefix(address string) netip.Prefix {
	p, err := netip.MustParseAddr(address).Prefix(32)
	if err != nil {
		panic(err)
	}
	return p
}

// TestExempt checks that a proxy may have as many connections as the total
// limit allows, and each of its clients as many sockets as the limit per
// address allows.
func TestExempt(t *testing.T) {
	l := behindProxy(Limits{Connections: 32, PerAddress: 8, Upstreams: 32, Excess: 1})
	var places []*Place
	for i := range 16 {
		p, ok := l.Enter(addr(proxy))
		if !ok || p.Excess() {
			t.Fatalf("no place for connection %d of a proxy", i)
		}
		places = append(places, p)
	}
	for i, p := range places[:9] {
		if got := p.Upgrade(prefix("192.0.2.1")); got != (i < 7) {
			t.Errorf("socket %d of a client behind the proxy: %v", i, got)
		}
	}
	for range 2 { // the second time, the limit is reached
		if !places[9].Upgrade(prefix("192.0.2.2")) {
			t.Error("another client opens no socket")
		}
	}
	if p, _ := l.Enter(addr("192.0.2.1:1")); p.Upgrade(netip.Prefix{}) {
		t.Error("the first client opens more without the proxy")
	} else {
		p.Release()
	}
	for i, p := range places[10:] {
		if !p.Upgrade(netip.Prefix{}) {
			t.Errorf("socket %d of the proxy itself", i)
		}
	}
	for _, p := range places {
		p.Release()
	}
	for range 32 {
		p, _ := l.Enter(addr(proxy))
		places = append(places, p)
	}
	if p, ok := l.Enter(addr(proxy)); !ok || !p.Excess() {
		t.Error("a proxy has more connections than there may be in all")
	} else {
		p.Release()
	}
	for _, p := range places {
		p.Release()
	}
	wantEmpty(t, l)
}

// TestBegin checks that a proxy's connection is counted for a client while it
// carries a request of that client.
func TestBegin(t *testing.T) {
	l := behindProxy(Limits{Connections: 32, PerAddress: 2, Upstreams: 32, Excess: 1})
	var places []*Place
	for range 4 {
		p, _ := l.Enter(addr(proxy))
		places = append(places, p)
	}
	ada := prefix("192.0.2.1")
	for i, p := range places {
		if got := p.Begin(ada); got != (i < 2) {
			t.Errorf("request %d: %v", i, got)
		}
	}
	if !places[2].Begin(prefix("192.0.2.2")) || !places[3].Begin(netip.Prefix{}) {
		t.Error("another client, or the proxy itself, may not")
	}
	if p, _ := l.Enter(addr("192.0.2.1:1")); !p.Excess() {
		t.Error("one more without the proxy")
	} else {
		p.Release()
	}
	places[0].End()
	places[3].End()
	if !places[3].Begin(ada) || places[0].Begin(ada) {
		t.Error("the place of a request that has ended")
	}
	for _, p := range places {
		p.Release()
		p.End()
	}
	wantEmpty(t, l)
	direct, _ := l.Enter(addr("192.0.2.9:1"))
	if !direct.Begin(ada) || direct.network.prefix != prefix("192.0.2.9") {
		t.Error("the connection of a client is counted for another")
	}
	direct.End()
	var none *Place
	if !none.Begin(ada) {
		t.Error("no place has a limit")
	}
	none.End()
}

// TestMove checks that a connection is counted for the client that the proxy
// named.
func TestMove(t *testing.T) {
	l := behindProxy(Limits{Connections: 32, PerAddress: 2, Upstreams: 32, Excess: 2})
	enter := func(client string, want bool) *Place {
		t.Helper()
		p, ok := l.Enter(addr(proxy))
		if !ok {
			t.Fatal("no place for a connection of a proxy")
		}
		if got := p.Move(source(client)); got != want {
			t.Fatalf("a connection of %q: %v", client, got)
		}
		return p
	}
	first, second := enter("192.0.2.1:1", true), enter("192.0.2.1:2", true)
	enter("192.0.2.1:3", false).Release()
	other := enter("192.0.2.2:1", true)
	for range 3 {
		defer enter("", true).Release() // a connection of the proxy itself
	}
	for i := range 3 { // of clients at the proxy's address
		defer enter(proxy, i < 2).Release()
	}
	var evicted bool
	first.Wait(func() { evicted = true })
	third := enter("192.0.2.1:4", true)
	if !evicted || first.Busy() {
		t.Error("a waiting connection has kept its slot")
	}
	moved, _ := l.Enter(addr(proxy))
	evicted = false
	moved.Wait(func() { evicted = true })
	if !moved.Move(source("192.0.2.3:1")) {
		t.Error("a connection that waits is not moved")
	}
	defer enter("192.0.2.3:2", true).Release()
	defer enter("192.0.2.3:3", true).Release() // uses the place of moved
	if !evicted || moved.Move(source("192.0.2.4:1")) {
		t.Error("the connection is not waiting, or was moved after its eviction")
	}
	for _, p := range []*Place{first, second, third, other, moved} {
		p.Release()
	}
	if open, refused := l.Usage(); open != 8 || refused != 2 {
		t.Errorf("%d open, %d refused", open, refused)
	}
	var none *Place
	if !none.Move(source("192.0.2.1:1")) || !none.Upgrade(prefix("192.0.2.1")) {
		t.Error("no place has a limit")
	}
}

// TestPlacesAddUp checks that after any sequence of calls, all counts are zero
// once all connections are closed.
func TestPlacesAddUp(t *testing.T) {
	for range 200 {
		l := behindProxy(Limits{Connections: 6, PerAddress: 2, Upstreams: 4, Excess: 2})
		client := func() string { return []string{proxy, "192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"}[rand.IntN(4)] }
		var places []*Place
		for range 60 {
			if len(places) == 0 || rand.IntN(3) == 0 {
				if p, ok := l.Enter(addr(client())); ok {
					places = append(places, p)
				}
				continue
			}
			p := places[rand.IntN(len(places))]
			switch rand.IntN(8) {
			case 0:
				p.Wait(func() {})
			case 1:
				p.Busy()
			case 2:
				p.Move(source(client()))
			case 3:
				p.Upgrade(prefix("192.0.2.1"))
			case 4:
				p.Upgrade(netip.Prefix{})
			case 5:
				p.Release()
			case 6:
				p.Begin(prefix("192.0.2.2"))
			case 7:
				p.End()
			}
			if l.places > 6 || l.sockets > 6 || l.excess > 2+len(places) {
				t.Fatalf("%d places, %d sockets, %d in excess", l.places, l.sockets, l.excess)
			}
			for _, n := range l.networks {
				if n.places > 2 || n == l.shared {
					t.Fatalf("a network of %d places", n.places)
				}
			}
		}
		for _, p := range places {
			p.Release()
		}
		wantEmpty(t, l)
	}
}

func wantEmpty(t *testing.T, l *Limiter) {
	t.Helper()
	if l.places+l.sockets+l.excess+l.upstreams+len(l.networks)+l.shared.places+l.shared.sockets != 0 || l.waiting.first != nil || l.shared.waiting.first != nil {
		t.Fatalf("left: %+v, %+v", l, l.shared)
	}
}

// TestUpgradeUndone checks that a connection of a proxy that did not become a
// socket is counted for the proxy again, and may become the socket of another
// client.
func TestUpgradeUndone(t *testing.T) {
	l := behindProxy(Limits{Connections: 32, PerAddress: 1, Upstreams: 1, Excess: 1})
	p, _ := l.Enter(addr(proxy))
	ada, bob := prefix("192.0.2.1"), prefix("192.0.2.2")
	for range 2 {
		if !p.Upgrade(ada) || l.ReserveUpstream() {
			t.Fatal("the connection did not become a socket")
		}
		p.End()
	}
	if !l.ReserveUpstream() {
		t.Error("the upstream of a socket that was not opened is counted")
	}
	l.ReleaseUpstream()
	other, _ := l.Enter(addr(proxy))
	if !other.Begin(ada) {
		t.Error("the connection still counts for the client")
	}
	if !p.Upgrade(bob) || p.network.prefix != bob {
		t.Error("the socket of another client counts for the wrong client")
	}
	p.Release()
	p.End()
	other.Release()
	wantEmpty(t, l)
	direct, _ := l.Enter(addr("192.0.2.9:1"))
	if !direct.Upgrade(netip.Prefix{}) {
		t.Error("a client without a proxy has no socket")
	}
	if direct.End(); direct.socket || direct.network.prefix != prefix("192.0.2.9") {
		t.Error("a connection without a proxy is a socket still, or another client's")
	}
}

// TestStreams checks that requests that share a connection count toward the
// limit of their client, and all counts return to zero.
func TestStreams(t *testing.T) {
	l := behindProxy(Limits{Connections: 32, PerAddress: 2, Upstreams: 32, Excess: 1})
	ada, bob := prefix("192.0.2.1"), prefix("192.0.2.2")
	for i, want := range []bool{true, true, false, false} {
		if got := l.BeginStream(ada); got != want {
			t.Errorf("stream %d: %v", i, got)
		}
	}
	if !l.BeginStream(bob) || !l.BeginStream(netip.Prefix{}) {
		t.Error("another client, or the proxy itself, may not")
	}
	if _, refused := l.Usage(); refused != 2 {
		t.Errorf("%d refused", refused)
	}
	p, _ := l.Enter(addr("192.0.2.1:1"))
	if p.Excess() {
		t.Error("streams take the places of connections")
	}
	p.Release() // the streams still count
	if l.BeginStream(ada) {
		t.Error("one more after a connection has ended")
	}
	for _, client := range []netip.Prefix{ada, bob, {}} {
		l.EndStream(client)
	}
	if !l.BeginStream(ada) {
		t.Error("no place after a stream has ended")
	}
	l.EndStream(ada)
	l.EndStream(ada)
	wantEmpty(t, l)
	var none *Limiter
	if !none.BeginStream(ada) {
		t.Error("no limiter has a limit")
	}
	none.EndStream(ada)
}
