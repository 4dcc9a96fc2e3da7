package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// paths are measured in turns.
var paths = [...]string{"/plain", "/guarded"}

// handshake prints the server's CPU per handshake, closing included.
func handshake() error {
	const rounds, each = 60, 250
	c, err := start()
	if err != nil {
		return err
	}
	defer c.stop()
	before, err := c.ask("cpu")
	if err != nil {
		return err
	}
	var cpu [2][]time.Duration
	for round := range rounds {
		for i := range paths {
			which := (i + round) % 2
			from, err := c.settle(before.Open)
			if err != nil {
				return err
			}
			for range each {
				conn, _, err := open(c.Addr, paths[which], c.Token)
				if err != nil {
					return err
				}
				_ = conn.SetLinger(0) // leave no port waiting
				_ = conn.Close()
			}
			to, err := c.settle(before.Open)
			if err != nil {
				return err
			}
			if round >= rounds/10 { // the first rounds warm up
				cpu[which] = append(cpu[which], (to.CPU-from.CPU)/each)
			}
		}
	}
	plain, guarded := median(cpu[0]), median(cpu[1])
	fmt.Printf("handshake: plain %v, guarded %v of CPU each (median of %d rounds of %d): %.3fx (at most 1.12x)\n",
		plain, guarded, len(cpu[0]), each, float64(guarded)/float64(plain))
	return nil
}

// memory prints the resident memory of an idle socket.
func memory() error {
	const sockets = 5000
	var each [2]float64
	for i, path := range paths {
		bytes, err := idleMemory(path, sockets)
		if err != nil {
			return err
		}
		each[i] = bytes / sockets / 1024
	}
	fmt.Printf("memory: plain %.1f KiB, guarded %.1f KiB an idle socket (%d sockets): %.2fx (at most 0.80x)\n",
		each[0], each[1], sockets, each[1]/each[0])
	return nil
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
	const sockets = 1000
	c, err := start()
	if err != nil {
		return err
	}
	defer c.stop()
	var wg sync.WaitGroup
	late := make([]time.Duration, sockets)
	for i := range late {
		conn, r, err := open(c.Addr, "/guarded", c.Brief)
		if err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
		wg.Go(func() {
			defer conn.Close()
			var head [4]byte
			if _, err := io.ReadFull(r, head[:]); err == nil && binary.BigEndian.Uint16(head[2:]) == 3000 {
				late[i] = time.Since(time.Now().Truncate(time.Second)) // exp is a whole second
			} else {
				late[i] = time.Hour
			}
		})
	}
	wg.Wait()
	slices.Sort(late)
	fmt.Printf("expiry: close frame 3000 after exp: p50 %v, p99 %v, max %v (%d sockets): p99 at most 1s\n",
		late[sockets/2], late[sockets*99/100], late[sockets-1], sockets)
	return nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
