package main

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"
)

// A testbed is a gateway, and the proxies with which it is compared, in front
// of one backend.
type testbed struct {
	backend  *child // answers handshakes and echoes bytes
	gateway  *child
	verifier *child // of nginx's auth_request
	nginx    *nginxProcess
}

// startTestbed starts the processes of a testbed.
func startTestbed() (f *testbed, err error) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	if err := os.Setenv(secretVariable, hex.EncodeToString(secret[:])); err != nil {
		return nil, err
	}
	f = &testbed{}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	if f.backend, err = start("echo"); err != nil {
		return nil, err
	}
	if f.gateway, err = start("gateway", f.backend.Addr); err != nil {
		return nil, err
	}
	if f.verifier, err = start("verifier"); err != nil {
		return nil, err
	}
	f.nginx, err = startNginx(f.backend.Addr, f.verifier.Addr)
	return f, err
}

func (f *testbed) stop() {
	if f.nginx != nil {
		f.nginx.stop()
	}
	for _, c := range []*child{f.verifier, f.gateway, f.backend} {
		if c != nil {
			c.stop()
		}
	}
}

// A contender is one path through a proxy, with the CPU time that it uses.
type contender struct {
	name, addr, path string
	cpu              func() (float64, error) // so far, in nanoseconds
}

// cpu reads the CPU time from /proc, as for nginx. Asking the child would add
// to its CPU time.
func (c *child) cpu() (float64, error) { return processCPU(c.pid) }

func (f *testbed) contenders() []contender {
	both := func() (float64, error) {
		a, err := f.nginx.cpu()
		b, err2 := f.verifier.cpu()
		return a + b, errors.Join(err, err2)
	}
	return []contender{
		{"wsauth", f.gateway.Addr, "/", f.gateway.cpu},
		{"nginx", f.nginx.addr, "/", f.nginx.cpu},
		{"nginx with auth_request, verifier included", f.nginx.addr, "/auth/", both},
	}
}

// proxyHandshake prints the CPU time of an authenticated handshake through the
// gateway, relative to nginx with auth_request and a Go verifier.
func proxyHandshake() error {
	const rounds, each, warm, target = 60, 200, 10, 0.9
	f, err := startTestbed()
	if err != nil {
		return err
	}
	defer f.stop()
	all := f.contenders()
	ratios := make([][]float64, len(all)) // of the gateway to each
	var own []float64
	for round := range rounds {
		cost := make([]float64, len(all))
		for i := range all {
			which := (i + round) % len(all)
			if cost[which], err = f.handshakes(all[which], each); err != nil {
				return fmt.Errorf("%s: %w", all[which].name, err)
			}
		}
		if round < warm {
			continue
		}
		own = append(own, cost[0])
		for i, c := range cost {
			ratios[i] = append(ratios[i], cost[0]/c)
		}
	}
	fmt.Printf("proxy-handshake: %.0f us of CPU; %s that of %s, %s that of %s (%d rounds of %d each), at most %.2fx\n",
		median(own)/1e3, formatSpread(ratios[1]), all[1].name, formatSpread(ratios[2]), all[2].name, len(own), each, target)
	return checkTarget("proxy-handshake", median(ratios[2]), target)
}

// handshakes opens and closes n sockets, one after the other, and returns the
// proxy's CPU time per socket in nanoseconds.
func (f *testbed) handshakes(c contender, n int) (float64, error) {
	from, err := c.cpu()
	if err != nil {
		return 0, err
	}
	for range n {
		conn, _, err := open(c.addr, c.path, f.gateway.Token)
		if err != nil {
			return 0, err
		}
		_ = conn.SetLinger(0) // leave no port in TIME_WAIT
		_ = conn.Close()
	}
	time.Sleep(20 * time.Millisecond) // for the proxy's work after the end
	to, err := c.cpu()
	return (to - from) / float64(n), err
}

// proxyEcho prints the CPU time and the latency of a round trip through the
// gateway, relative to nginx.
func proxyEcho() error {
	f, err := startTestbed()
	if err != nil {
		return err
	}
	defer f.stop()
	var missed error
	for _, m := range []struct {
		size, each int
		target     float64
	}{{32, 1000, 1.0}, {1 << 10, 1000, 1.0}, {64 << 10, 200, 0.35}} {
		cpu, latency, err := f.echoes(m.size, m.each)
		if err != nil {
			return err
		}
		fmt.Printf("proxy-echo: %d bytes: %s nginx's CPU a round trip, at most %.2fx; p50 of the time %s nginx's, at most 1.00x\n",
			m.size, formatSpread(cpu), m.target, formatSpread(latency))
		missed = errors.Join(missed, checkTarget(fmt.Sprintf("proxy-echo %d", m.size), median(cpu), m.target),
			checkTarget(fmt.Sprintf("proxy-echo %d, p50", m.size), median(latency), 1.0))
	}
	return missed
}

// echoes returns the ratios of the gateway's CPU time and latency to those of
// nginx, for each round. The rounds are short, so that the load of the machine
// is similar in both halves.
func (f *testbed) echoes(size, each int) (cpus, times []float64, err error) {
	const rounds, warm = 305, 5
	all := f.contenders()[:2]
	conns := make([]*echoClient, len(all))
	for i, c := range all {
		if conns[i], err = newEchoClient(c, f.gateway.Token, size); err != nil {
			return nil, nil, err
		}
		defer conns[i].conn.Close()
	}
	for round := range rounds {
		var cost, p50 [2]float64
		for i := range all {
			which := (i + round) % len(all)
			from, err := all[which].cpu()
			if err != nil {
				return nil, nil, err
			}
			if p50[which], err = conns[which].roundTrips(each); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", all[which].name, err)
			}
			to, err := all[which].cpu()
			if err != nil {
				return nil, nil, err
			}
			cost[which] = to - from
		}
		if round >= warm {
			cpus, times = append(cpus, cost[0]/cost[1]), append(times, p50[0]/p50[1])
		}
	}
	return cpus, times, nil
}

// An echoClient sends the same binary frame repeatedly.
type echoClient struct {
	conn  net.Conn
	r     *bufio.Reader
	frame []byte
	back  []byte
}

func newEchoClient(c contender, token string, size int) (*echoClient, error) {
	conn, r, err := open(c.addr, c.path, token)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Hour))
	e := &echoClient{conn: conn, r: r}
	e.frame = append(binaryHead(size, 0x80), 0, 0, 0, 0)
	e.frame = append(e.frame, make([]byte, size)...)
	e.back = make([]byte, len(binaryHead(size, 0))+size)
	return e, nil
}

func binaryHead(size int, mask byte) []byte {
	switch {
	case size < 126:
		return []byte{0x82, mask | byte(size)}
	case size < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{0x82, mask | 126}, uint16(size))
	}
	return binary.BigEndian.AppendUint64([]byte{0x82, mask | 127}, uint64(size))
}

// roundTrips makes n round trips and returns their median duration.
func (e *echoClient) roundTrips(n int) (float64, error) {
	times := make([]float64, n)
	for i := range times {
		started := time.Now()
		if _, err := e.conn.Write(e.frame); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(e.r, e.back); err != nil {
			return 0, err
		}
		times[i] = float64(time.Since(started))
	}
	slices.Sort(times)
	return times[n/2], nil
}

// proxyMemory prints the memory of an idle socket through the gateway.
func proxyMemory() error {
	const sockets, target = 4000, 4.0
	f, err := startTestbed()
	if err != nil {
		return err
	}
	defer f.stop()
	resident := func() (own, peer float64, err error) {
		u, err := f.gateway.ask("memory")
		if err != nil {
			return 0, 0, err
		}
		peer, err = f.nginx.resident()
		return float64(u.Resident), peer, err
	}
	own, peer, err := resident()
	if err != nil {
		return err
	}
	for _, c := range f.contenders()[:2] {
		for range sockets {
			conn, _, err := open(c.addr, c.path, f.gateway.Token)
			if err != nil {
				return err
			}
			defer conn.Close()
		}
	}
	own2, peer2, err := resident()
	if err != nil {
		return err
	}
	each := (own2 - own) / sockets / 1024
	fmt.Printf("proxy-memory: %.1f KiB an idle socket, nginx %.1f KiB (%d sockets), at most %.1f KiB\n", each, (peer2-peer)/sockets/1024, sockets, target)
	return checkTarget("proxy-memory", each, target)
}
