package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/store"
	"wsauth/store/redis"
	"wsauth/token"
)

const (
	clusterNodes   = 3
	clusterSockets = 9_000

	// engineDelay is the additional time of a round trip to the engine in the
	// second half of the measurements.
	engineDelay = 2 * time.Millisecond
)

// cluster prints how long a logout on one node takes to close sockets on the
// others, with redis-server as the store. It also checks logouts while
// connections fail, and tickets while nodes race for them.
func cluster() error {
	for _, delay := range []time.Duration{0, engineDelay} {
		if err := clusterWith(delay); err != nil {
			return err
		}
	}
	return nil
}

func clusterWith(delay time.Duration) error {
	if err := canOpen(clusterSockets); err != nil {
		return err
	}
	e, err := startEngine()
	if err != nil {
		return err
	}
	defer e.stop()
	address := e.address
	if delay > 0 {
		p, err := startProxy(address, delay/2)
		if err != nil {
			return err
		}
		defer p.stop()
		address = p.address
	}
	if err := clusterTickets(address, delay); err != nil {
		return err
	}
	c, err := joinCluster(address)
	if err != nil {
		return err
	}
	defer c.leave()
	if err := c.revokeEach(delay); err != nil {
		return err
	}
	if err := c.revokeUsers(delay); err != nil {
		return err
	}
	if err := c.revokeInTrouble(e, delay); err != nil {
		return err
	}
	return c.restartEngine(e, delay)
}

// An engine is a redis-server without persistence.
type engine struct {
	address string
	process *exec.Cmd
}

func startEngine() (*engine, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	_ = l.Close()
	e := &engine{address: address}
	return e, e.start()
}

// start starts the process with an empty store, and waits until it listens.
func (e *engine) start() error {
	_, port, _ := net.SplitHostPort(e.address)
	e.process = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", os.TempDir())
	if err := e.process.Start(); err != nil {
		return fmt.Errorf("redis-server must be installed: %w", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", e.address)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			e.stop()
			return fmt.Errorf("redis-server does not listen on %s: %w", e.address, err)
		}
	}
}

func (e *engine) stop() {
	_ = e.process.Process.Kill()
	_ = e.process.Wait()
}

// killClients closes all connections of clients, and returns their number.
func (e *engine) killClients() (n int, err error) {
	conn, err := net.Dial("tcp", e.address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "CLIENT KILL TYPE normal SKIPME yes\r\n"); err != nil {
		return 0, err
	}
	_, err = fmt.Fscanf(conn, ":%d\r\n", &n)
	return n, err
}

// A delayProxy forwards connections to a server, and delivers each byte after a
// delay.
type delayProxy struct {
	address string
	stop    func()
}

func startProxy(to string, delay time.Duration) (*delayProxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			go forwardLate(from, server, delay)
			go forwardLate(server, from, delay)
		}
	}()
	return &delayProxy{l.Addr().String(), func() { _ = l.Close() }}, nil
}

// forwardLate forwards what it reads after a delay, and closes both connections
// at the end.
func forwardLate(from, to net.Conn, delay time.Duration) {
	type chunk struct {
		due  time.Time
		data []byte
	}
	chunks := make(chan chunk, 1024)
	go func() {
		defer close(chunks)
		for {
			data := make([]byte, 16<<10)
			n, err := from.Read(data)
			if err != nil {
				return
			}
			chunks <- chunk{time.Now().Add(delay), data[:n]}
		}
	}()
	for c := range chunks {
		time.Sleep(time.Until(c.due))
		if _, err := to.Write(c.data); err != nil {
			break
		}
	}
	_, _ = from.Close(), to.Close()
	for range chunks { // until the reader has returned
	}
}

// clusterTickets checks that each of many tickets is taken exactly once when
// 100 attempts on three nodes race for it.
func clusterTickets(address string, delay time.Duration) error {
	const attempts = 100
	rounds := 10_000
	if delay > 0 {
		rounds /= 10
	}
	var nodes [clusterNodes]*redis.Store
	for i := range nodes {
		s, err := redis.Open(context.Background(), redis.Config{Addresses: []string{address}})
		if err != nil {
			return err
		}
		defer s.Close()
		nodes[i] = s
	}
	started := time.Now()
	for round := range rounds {
		key := store.TicketKey([]byte(fmt.Sprintf("%-32d", round)))
		if err := nodes[round%clusterNodes].PutTicket(context.Background(), key, []byte("value"), time.Now().Add(30*time.Second)); err != nil {
			return err
		}
		var winners, failed atomic.Int32
		var racing sync.WaitGroup
		for i := range attempts {
			racing.Go(func() {
				switch _, err := nodes[i%clusterNodes].TakeTicket(context.Background(), key); {
				case err == nil:
					winners.Add(1)
				case !errors.Is(err, store.ErrNotFound):
					failed.Add(1)
				}
			})
		}
		racing.Wait()
		if winners.Load() != 1 || failed.Load() > 0 {
			return fmt.Errorf("round %d: a ticket was taken %d times, and %d attempts failed", round, winners.Load(), failed.Load())
		}
	}
	fmt.Printf("cluster: %v to the engine: %d tickets, each used %d times at once on %d nodes: one winner each (%.0f us a use)\n",
		delay, rounds, attempts, clusterNodes, float64(time.Since(started).Microseconds())/float64(rounds*attempts))
	return nil
}

// A clusterCrowd is many sockets on several nodes. Half of them belong to 1 %
// of the users.
type clusterCrowd struct {
	nodes []*child
	open  map[string]clusterSocket // by sid
	ends  chan ending
}

// A clusterSocket is one socket of a clusterCrowd.
type clusterSocket struct {
	node int
	user string
	conn *net.TCPConn
}

// joinCluster starts the nodes with the same key.
func joinCluster(address string) (*clusterCrowd, error) {
	c := &clusterCrowd{open: map[string]clusterSocket{}, ends: make(chan ending, clusterSockets)}
	secret := rand.Text() + rand.Text()
	for range clusterNodes {
		node, err := start("cluster", address, secret)
		if err != nil {
			c.leave()
			return nil, err
		}
		c.nodes = append(c.nodes, node)
	}
	return c, nil
}

// fill opens sockets until there are clusterSockets.
func (c *clusterCrowd) fill() error {
	const users = 1000
	for n := len(c.open); n < clusterSockets; n++ {
		user := fmt.Sprint("user-", mathrand.IntN(users))
		if n%2 == 0 {
			user = fmt.Sprint("user-", mathrand.IntN(users/100))
		}
		node := n % clusterNodes
		var l userSession
		if err := c.nodes[node].tell("login "+user, &l); err != nil {
			return err
		}
		conn, r, err := open(c.nodes[node].Addr, "/guarded", l.Token)
		if err != nil {
			return fmt.Errorf("socket %d: %w", n, err)
		}
		_ = conn.SetDeadline(time.Time{})
		c.open[l.SID] = clusterSocket{node, user, conn}
		go watchEnd(l.SID, r, c.ends)
	}
	return nil
}

// next waits for the next socket that ends, and closes this side of it.
func (c *clusterCrowd) next() (ending, error) {
	select {
	case e := <-c.ends:
		_ = c.open[e.sid].conn.Close()
		delete(c.open, e.sid)
		if e.code != 3000 {
			return e, fmt.Errorf("a socket ended with close code %d", e.code)
		}
		return e, nil
	case <-time.After(30 * time.Second):
		return ending{}, errors.New("no close frame within 30s")
	}
}

// shuffled returns the sids of the open sockets in random order.
func (c *clusterCrowd) shuffled() []string {
	sids := make([]string, 0, len(c.open))
	for sid := range c.open {
		sids = append(sids, sid)
	}
	slices.Sort(sids)
	mathrand.Shuffle(len(sids), func(i, j int) { sids[i], sids[j] = sids[j], sids[i] })
	return sids
}

// revokeEach prints how long it takes from a logout on one node to the close
// frame of a socket on another.
func (c *clusterCrowd) revokeEach(delay time.Duration) error {
	const alone, target = 1_000, 0.050 // seconds
	p99 := 0.0
	for range tries {
		if err := c.fill(); err != nil {
			return err
		}
		var waits []float64
		for _, sid := range c.shuffled()[:alone] {
			elsewhere := c.nodes[(c.open[sid].node+1)%clusterNodes]
			started := time.Now()
			var sockets int
			if err := elsewhere.tell("logout "+sid, &sockets); err != nil {
				return err
			}
			e, err := c.next()
			if err != nil {
				return err
			}
			if e.sid != sid || sockets != 0 {
				return errors.New("another socket ended")
			}
			waits = append(waits, e.at.Sub(started).Seconds())
		}
		slices.Sort(waits)
		p99 = waits[alone*99/100]
		fmt.Printf("cluster: %v to the engine, %d sockets on %d nodes: logged out on another node, close frame after p50 %.2f ms, p99 %.2f ms, last %.2f ms (%d of them), p99 at most %.0f ms\n",
			delay, clusterSockets, clusterNodes, waits[alone/2]*1e3, p99*1e3, waits[alone-1]*1e3, alone, target*1e3)
		if p99 <= target {
			break
		}
	}
	return checkTarget("cluster revoke", p99, target)
}

// revokeUsers prints how long it takes to end all sockets of the users who have
// the most, on all nodes.
func (c *clusterCrowd) revokeUsers(delay time.Duration) error {
	if err := c.fill(); err != nil {
		return err
	}
	of := map[string]int{}
	for _, s := range c.open {
		of[s.user]++
	}
	var waits []float64
	ended := 0
	for n := range 10 {
		user := fmt.Sprint("user-", n)
		started := time.Now()
		var here int
		if err := c.nodes[n%clusterNodes].tell("logout-everywhere "+user, &here); err != nil {
			return err
		}
		for range of[user] {
			e, err := c.next()
			if err != nil {
				return err
			}
			waits = append(waits, e.at.Sub(started).Seconds())
			ended++
		}
	}
	slices.Sort(waits)
	fmt.Printf("cluster: %v to the engine: 10 users with %d sockets on %d nodes logged out everywhere, close frames after p50 %.1f ms, p99 %.1f ms, last %.1f ms\n",
		delay, ended, clusterNodes, waits[ended/2]*1e3, waits[ended*99/100]*1e3, waits[ended-1]*1e3)
	return nil
}

// revokeInTrouble checks that 5,000 logouts on one node reach the others while
// the connections of all nodes to the engine are closed ten times.
func (c *clusterCrowd) revokeInTrouble(e *engine, delay time.Duration) error {
	const logouts, kills = 5_000, 10
	if err := c.fill(); err != nil {
		return err
	}
	sids := c.shuffled()[:logouts]
	started := time.Now()
	killed, late := 0, 0
	for i, sid := range sids {
		if i%(logouts/kills) == logouts/kills/2 {
			n, err := e.killClients()
			if err != nil {
				return err
			}
			killed += n
		}
		var sockets int
		if err := c.nodes[0].tell("logout "+sid, &sockets); err != nil {
			return err
		}
		if sockets < 0 { // held by the node, and written when the engine answers
			late++
		}
	}
	left := map[string]bool{}
	for _, sid := range sids {
		left[sid] = true
	}
	for range sids {
		e, err := c.next()
		if err != nil {
			return fmt.Errorf("%d of %d logouts have not arrived: %w", len(left), logouts, err)
		}
		if !left[e.sid] {
			return errors.New("a socket ended twice, or one that was not logged out")
		}
		delete(left, e.sid)
	}
	fmt.Printf("cluster: %v to the engine: %d logouts on one node while all connections to the engine are closed %d times: all arrive, once (%d connections; %d logouts were written later; %.1f s in all)\n",
		delay, logouts, kills, killed, late, time.Since(started).Seconds())
	return nil
}

// restartEngine checks that sockets stay open while the engine restarts with an
// empty store, and prints how soon a logout reaches another node afterwards.
func (c *clusterCrowd) restartEngine(e *engine, delay time.Duration) error {
	const down, target = 5 * time.Second, 5.0 // seconds
	if err := c.fill(); err != nil {
		return err
	}
	revoked := c.shuffled()[:2]
	var sockets int
	if err := c.nodes[(c.open[revoked[0]].node+1)%clusterNodes].tell("logout "+revoked[0], &sockets); err != nil {
		return err
	}
	if _, err := c.next(); err != nil {
		return err
	}
	e.stop()
	time.Sleep(down)
	back := time.Now()
	if err := e.start(); err != nil {
		return err
	}
	elsewhere := c.nodes[(c.open[revoked[1]].node+1)%clusterNodes]
	if err := elsewhere.tell("logout "+revoked[1], &sockets); err != nil {
		return err
	}
	ended, err := c.next()
	if err != nil {
		return err
	}
	took := ended.at.Sub(back).Seconds()
	time.Sleep(down)
	if ended.sid != revoked[1] || len(c.ends) > 0 {
		return fmt.Errorf("%d sockets ended because the engine restarted", len(c.ends))
	}
	fmt.Printf("cluster: %v to the engine: it restarts empty after %v, %d sockets stay open; a logout then reaches another node %.2f s after its return, at most %.0f s\n",
		delay, down, len(c.open), took, target)
	return checkTarget("cluster restart", took, target)
}

// leave closes the remaining sockets and stops the nodes.
func (c *clusterCrowd) leave() {
	for _, s := range c.open {
		_ = s.conn.SetLinger(0) // leave no port in TIME_WAIT
		_ = s.conn.Close()
	}
	for range c.open {
		<-c.ends
	}
	for _, node := range c.nodes {
		node.stop()
	}
}

// serveNode runs a node of a cluster. The arguments are the address of the
// engine and the secret of the tokens.
func serveNode(address, secret string) error {
	s, err := redis.Open(context.Background(), redis.Config{Addresses: strings.Split(address, ",")})
	if err != nil {
		return err
	}
	defer s.Close()
	key, err := token.NewKey(token.HS256, []byte(secret), token.KeyOptions{})
	if err != nil {
		return err
	}
	keys, issuer, err := keysWith(key)
	if err != nil {
		return err
	}
	return serveWith(keys, issuer, s)
}
