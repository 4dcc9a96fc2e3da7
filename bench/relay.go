package main

import (
	"errors"
	"fmt"
	"time"
)

// portableVariable is the environment variable that makes the relay use
// goroutines, for comparison.
const portableVariable = "WSAUTH_BENCH_PORTABLE"

// benchRelay prints the cost of the relay alone, compared with nginx: the CPU
// time of a round trip with many concurrent clients, the latency with a single
// client, and the memory and CPU time of idle sockets.
func benchRelay() error {
	backend, err := start("echo")
	if err != nil {
		return err
	}
	defer backend.stop()
	relay, err := start("relay", backend.Addr)
	if err != nil {
		return err
	}
	defer relay.stop()
	nginx, err := startNginx(backend.Addr, backend.Addr)
	if err != nil {
		return err
	}
	defer nginx.stop()
	both := [2]contender{
		{"the relay", relay.Addr, "/", relay.cpu},
		{"nginx", nginx.addr, "/", nginx.cpu},
	}
	var missed error
	for _, m := range []struct {
		size, clients, each int
		target              float64
	}{{32, 1, 3000, 1}, {32, 32, 600, 1}, {1 << 10, 32, 600, 1}, {64 << 10, 32, 100, 0.35}} {
		cpu, own, p50, err := compared(both, m.size, m.clients, m.each)
		if err != nil {
			return err
		}
		fmt.Printf("relay: %d bytes, %d clients: %.1f us of CPU a round trip, %.3fx nginx's, at most %.2fx; p50 of the time %.2fx nginx's\n",
			m.size, m.clients, own/1e3, cpu, m.target, p50)
		missed = errors.Join(missed, checkTarget(fmt.Sprintf("relay of %d bytes, %d clients", m.size, m.clients), cpu, m.target))
		if m.clients == 1 {
			missed = errors.Join(missed, checkTarget("time of the relay", p50, 1))
		}
	}
	return errors.Join(missed, idleRelayed(relay, nginx))
}

// compared measures round trips through two contenders. cpu is the ratio of the
// first one's CPU time per round trip to the second's, own is the first one's
// CPU time in nanoseconds, and p50 is the ratio of the latencies. Each is a
// median over alternating rounds.
func compared(both [2]contender, size, clients, each int) (cpu, own, p50 float64, err error) {
	const rounds, warm = 33, 3
	var conns [2][]*echoClient
	for i, c := range both {
		for range clients {
			e, err := newEchoClient(c, "none", size)
			if err != nil {
				return 0, 0, 0, err
			}
			defer e.conn.Close()
			conns[i] = append(conns[i], e)
		}
	}
	var cpus, owns, times []float64
	for round := range rounds {
		var cost, took [2]float64
		for i := range both {
			which := (i + round) % 2
			if cost[which], took[which], err = measureTogether(both[which], conns[which], each); err != nil {
				return 0, 0, 0, fmt.Errorf("%s: %w", both[which].name, err)
			}
		}
		if round >= warm {
			cpus, owns, times = append(cpus, cost[0]/cost[1]), append(owns, cost[0]), append(times, took[0]/took[1])
		}
	}
	return median(cpus), median(owns), median(times), nil
}

// measureTogether lets all clients make round trips concurrently. It returns
// the CPU time per round trip, and the median of the clients' latencies.
func measureTogether(c contender, clients []*echoClient, each int) (cpu, p50 float64, err error) {
	from, err := c.cpu()
	if err != nil {
		return 0, 0, err
	}
	type result struct {
		p50 float64
		err error
	}
	results := make(chan result, len(clients))
	for _, e := range clients {
		go func() {
			p50, err := e.roundTrips(each)
			results <- result{p50, err}
		}()
	}
	var times []float64
	for range clients {
		r := <-results
		err = errors.Join(err, r.err)
		times = append(times, r.p50)
	}
	to, err2 := c.cpu()
	return (to - from) / float64(each*len(clients)), median(times), errors.Join(err, err2)
}

// idleRelayed prints the memory and the CPU time of idle sockets.
func idleRelayed(relay *child, nginx *nginxProcess) error {
	const sockets, target, seconds = 4000, 4.0, 2
	hold := func(addr string) (stop func(), err error) {
		var conns []interface{ Close() error }
		stop = func() {
			for _, conn := range conns {
				_ = conn.Close()
			}
		}
		for range sockets {
			conn, _, err := open(addr, "/", "none")
			if err != nil {
				return stop, err
			}
			conns = append(conns, conn)
		}
		return stop, nil
	}
	before, err := relay.ask("memory")
	if err != nil {
		return err
	}
	stop, err := hold(relay.Addr)
	defer stop()
	if err != nil {
		return err
	}
	held, err := relay.ask("memory")
	if err != nil {
		return err
	}
	time.Sleep(seconds * time.Second)
	idle, err := relay.ask("cpu")
	if err != nil {
		return err
	}
	peerBefore, err := nginx.resident()
	if err != nil {
		return err
	}
	stopPeer, err := hold(nginx.addr)
	defer stopPeer()
	if err != nil {
		return err
	}
	peer, err := nginx.resident()
	own := float64(held.Resident-before.Resident) / sockets / 1024
	fmt.Printf("relay: %.2f KiB an idle socket, nginx %.1f KiB, at most %.1f KiB; %.3f %% of a CPU (%d sockets)\n",
		own, (peer-peerBefore)/sockets/1024, target, (idle.CPU-held.CPU).Seconds()/seconds*100, sockets)
	return errors.Join(err, checkTarget("memory of the relay", own, target))
}
