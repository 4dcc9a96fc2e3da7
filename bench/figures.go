package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// paths are the paths of the handlers that are measured in turn.
var paths = [...]string{"/plain", "/guarded"}

// handshake prints the server's CPU time per handshake, including the close.
// The ratio is the median over the rounds: a disturbance affects both halves
// of a round.
func handshake() error {
	const rounds, each, warm, target = 110, 200, 10, 1.12
	c, err := start()
	if err != nil {
		return err
	}
	defer c.stop()
	before, err := c.ask("cpu")
	if err != nil {
		return err
	}
	var ratios, plain []float64
	for round := range rounds {
		var cpu [2]float64
		for i := range paths {
			which := (i + round) % 2
			if cpu[which], err = c.handshakes(paths[which], each, before.Open); err != nil {
				return err
			}
		}
		if round >= warm {
			plain = append(plain, cpu[0])
			ratios = append(ratios, cpu[1]/cpu[0])
		}
	}
	fmt.Printf("handshake: %.0f us of CPU unguarded; guarded %.3fx (median of %d rounds of %d each), at most %.2fx\n",
		median(plain)/1e3, median(ratios), len(ratios), each, target)
	return checkTarget("handshake", median(ratios), target)
}

// handshakes makes n handshakes, one after the other, and returns the server's
// CPU time per handshake in nanoseconds.
func (c *child) handshakes(path string, n, goroutines int) (float64, error) {
	from, err := c.settle(goroutines)
	if err != nil {
		return 0, err
	}
	for range n {
		conn, _, err := open(c.Addr, path, c.Token)
		if err != nil {
			return 0, err
		}
		_ = conn.SetLinger(0) // leave no port in TIME_WAIT
		_ = conn.Close()
	}
	to, err := c.settle(goroutines)
	return float64(to.CPU-from.CPU) / float64(n), err
}

// socketMemory prints the resident memory per idle socket.
func socketMemory() error {
	const sockets, target = 5000, 0.80
	var each [2]float64
	for i, path := range paths {
		bytes, err := idleMemory(path, sockets)
		if err != nil {
			return err
		}
		each[i] = bytes / sockets / 1024
	}
	ratio := each[1] / each[0]
	fmt.Printf("memory: %.1f KiB an idle unguarded socket; guarded %.1f KiB, %.2fx (%d sockets), at most %.2fx\n",
		each[0], each[1], ratio, sockets, target)
	return checkTarget("memory", ratio, target)
}

func idleMemory(path string, sockets int) (float64, error) {
	c, err := start()
	if err != nil {
		return 0, err
	}
	defer c.stop()
	conns := make([]net.Conn, 0, sockets)
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	before, err := c.ask("memory")
	if err != nil {
		return 0, err
	}
	for range sockets {
		conn, _, err := open(c.Addr, path, c.Token)
		if err != nil {
			return 0, err
		}
		conns = append(conns, conn)
	}
	after, err := c.ask("memory")
	return float64(after.Resident - before.Resident), err
}

// expiry prints how long after its token's expiry a socket gets its close
// frame.
func expiry() error {
	const sockets, target = 1000, 1.0
	c, err := start()
	if err != nil {
		return err
	}
	defer c.stop()
	var wg sync.WaitGroup
	above := make([]float64, sockets) // seconds
	for i := range above {
		conn, r, err := open(c.Addr, "/guarded", c.Brief)
		if err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
		wg.Go(func() {
			defer conn.Close()
			var head [4]byte
			_, err := io.ReadFull(r, head[:])
			above[i] = time.Since(time.Unix(c.BriefUntil, 0)).Seconds()
			if err != nil || binary.BigEndian.Uint16(head[2:]) != 3000 {
				above[i] = math.Inf(1)
			}
		})
	}
	wg.Wait()
	slices.Sort(above)
	p99 := above[sockets*99/100]
	fmt.Printf("expiry: close frame 3000 after exp: first %.1f ms, p50 %.1f ms, p99 %.1f ms, last %.1f ms (%d sockets), p99 at most %.0f ms\n",
		above[0]*1e3, above[sockets/2]*1e3, p99*1e3, above[sockets-1]*1e3, sockets, target*1e3)
	if above[0] < 0 {
		return errors.New("expiry: a socket ended before its token")
	}
	return checkTarget("expiry", p99, target)
}

// checkTarget returns an error if a figure exceeds its target.
func checkTarget(name string, got, target float64) error {
	if got > target {
		return fmt.Errorf("%s: %.3f misses the target of %.3f", name, got, target)
	}
	return nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// formatSpread formats the median and the interquartile range of ratios.
func formatSpread(ratios []float64) string {
	middle := median(ratios) // which sorts them
	return fmt.Sprintf("%.3fx (%.2f to %.2f)", middle, ratios[len(ratios)/4], ratios[len(ratios)*3/4])
}

// open opens a socket without a WebSocket library, so that the client uses
// little CPU.
func open(addr, path, token string) (*net.TCPConn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n", path, addr, token)
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(conn, 512)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return conn.(*net.TCPConn), r, nil
}
