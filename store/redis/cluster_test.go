package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"wsauth/internal/testenv"
	"wsauth/store"
	"wsauth/store/storetest"
)

// startCluster starts a Redis Cluster of three nodes without replicas.
func startCluster(t testing.TB) []*server {
	t.Helper()
	var nodes []*server
	for range 3 {
		nodes = append(nodes, startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"))
	}
	for i, s := range nodes {
		s.do(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		s.do(t, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*16384/3), strconv.Itoa((i+1)*16384/3-1))
		if i > 0 {
			host, port, _ := net.SplitHostPort(nodes[0].address)
			s.do(t, "CLUSTER", "MEET", host, port)
		}
	}
	for _, s := range nodes {
		eventually(t, func() error {
			if state := s.do(t, "CLUSTER", "INFO"); !strings.Contains(state, "cluster_state:ok") || !strings.Contains(state, "cluster_known_nodes:3") || !strings.Contains(state, "cluster_size:3") {
				return errors.New(state)
			}
			return nil
		})
	}
	return nodes
}

// TestCluster runs the suites of storetest on a Redis Cluster, and moves slots
// while it is used.
func TestCluster(t *testing.T) {
	nodes := startCluster(t)
	config := func() Config {
		return Config{Addresses: []string{nodes[0].address, nodes[1].address}, Cluster: true, Prefix: newPrefix(), Timeout: patience, Logger: logTo(t)}
	}
	t.Run("suites", func(t *testing.T) { storetest.Cluster(t, suites(config)) })
	t.Run("single", func(t *testing.T) {
		c := config()
		c.Cluster, c.Addresses = false, c.Addresses[:1]
		if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "Cluster") {
			t.Errorf("Open without Cluster: %v", err)
		}
	})
	t.Run("dead nodes", func(t *testing.T) { testDeadNodes(t, config()) })
	t.Run("moving slots", func(t *testing.T) { testMovingSlots(t, nodes, config()) })
}

// testDeadNodes checks that the counts of a dead node do not use up a limit,
// even while the list of live nodes is cached, and that the cached list saves
// calls.
func testDeadNodes(t *testing.T, c Config) {
	one, other := mustOpen(t, c), mustOpen(t, c)
	one.live.maxAge, other.live.maxAge = time.Hour, time.Hour
	for _, id := range []string{"one", "other"} {
		if _, err := one.KeepNode(t.Context(), store.Node{ID: id}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	count := func(node string, n int) store.Count {
		return store.Count{Node: node, Key: "k", Subject: "s", N: n, Limit: 2, Oldest: time.Now()}
	}
	if _, err := one.SetCount(t.Context(), count("one", 2)); err != nil {
		t.Fatal(err)
	}
	if got, err := other.SetCount(t.Context(), count("other", 1)); !errors.Is(err, store.ErrFull) || got.Sum != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := one.DropNode(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if got, err := other.SetCount(t.Context(), count("other", 2)); err != nil || got != (store.Counts{Sum: 2, OldestNode: "other"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// testMovingSlots checks that no call fails while the slots of all keys move
// from one node to another, that no ticket is taken twice, and that readers
// lose no revocation.
func testMovingSlots(t *testing.T, nodes []*server, c Config) {
	s := mustOpen(t, c)
	now := time.Now()
	expires := now.Add(time.Hour)
	const subjects = 20
	for n := range subjects {
		session := store.Session{ID: fmt.Sprint("id-", n), Subject: fmt.Sprint("s-", n), Current: "0", Started: now, Expires: expires, Ends: expires}
		if err := s.BeginSession(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.KeepNode(t.Context(), store.Node{ID: "n"}, time.Hour); err != nil {
		t.Fatal(err)
	}

	stop := make(chan struct{})
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	var load sync.WaitGroup
	finish := sync.OnceFunc(func() { close(stop); load.Wait() })
	defer finish()
	var revoked, rotated, taken, void int
	load.Go(func() {
		for ; running(); revoked++ {
			if err := s.Revoke(t.Context(), inAnHour(fmt.Sprint(revoked))); err != nil {
				t.Errorf("Revoke: %v", err)
				return
			}
		}
	})
	load.Go(func() {
		for running() {
			_, err := within(t.Context(), s, func(ctx context.Context) (struct{}, error) {
				_, unconfirmed, err := s.evalConfirmed(ctx, 0, positionScript, s.keys.log(), "fresh")
				return struct{}{}, errors.Join(unconfirmed, err)
			})
			if err != nil {
				t.Errorf("evalConfirmed: %v", err)
				return
			}
		}
	})
	load.Go(func() {
		for ; running(); rotated++ {
			n, step := rotated%subjects, rotated/subjects
			r := store.Rotation{Subject: fmt.Sprint("s-", n), ID: fmt.Sprint("id-", n), From: fmt.Sprint(step), To: fmt.Sprint(step + 1), Expires: expires}
			if session, err := s.RotateSession(t.Context(), r); err != nil || session.Current != r.To {
				t.Errorf("RotateSession: %+v, %v", session, err)
				return
			}
			if _, err := s.SetCount(t.Context(), store.Count{Node: "n", Key: "k", Subject: r.Subject, N: 1 + step%3, Oldest: now}); err != nil {
				t.Errorf("SetCount: %v", err)
			}
		}
	})
	load.Go(func() {
		for ; running(); taken++ {
			key := store.TicketKey{byte(taken), byte(taken >> 8), byte(taken >> 16)}
			if err := s.PutTicket(t.Context(), key, []byte("value"), expires); err != nil {
				t.Errorf("PutTicket: %v", err)
				return
			}
			_, err := s.TakeTicket(t.Context(), key)
			if errors.Is(err, store.ErrNotFound) { // its slot has moved since PutTicket
				void++
			} else if err != nil {
				t.Errorf("TakeTicket: %v", err)
			}
			if _, err := s.TakeTicket(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("TakeTicket again: %v", err)
			}
		}
	})

	slots := map[string]bool{}
	for _, key := range [][]string{s.keys.log(), s.keys.usage("tickets"), s.keys.usage("sessions")} {
		slots[nodes[0].do(t, "CLUSTER", "KEYSLOT", key[0])] = true
	}
	for n := range testenv.Size(5, subjects) {
		slots[nodes[0].do(t, "CLUSTER", "KEYSLOT", s.keys.sessions(fmt.Sprint("s-", n))[0])] = true
	}
	for range testenv.Size(1, 2) {
		for slot := range slots {
			moveSlot(t, nodes, slot)
		}
	}
	finish()
	all, _, _ := readAll(t, s)
	if len(all) != revoked {
		t.Errorf("read %d of %d revocations", len(all), revoked)
	}
	t.Logf("%d slots, %d revocations, %d rotations, %d tickets, of which %d void", len(slots), revoked, rotated, taken, void)
	if revoked == 0 || rotated == 0 || taken == 0 || void > taken/2 {
		t.Errorf("%d revocations, %d rotations, %d tickets, of which %d void", revoked, rotated, taken, void)
	}
}

// moveSlot moves a slot to the next node, as redis-cli --cluster reshard does.
func moveSlot(t *testing.T, nodes []*server, slot string) {
	t.Helper()
	from := -1
	ids := make([]string, len(nodes))
	for i, s := range nodes {
		ids[i] = s.do(t, "CLUSTER", "MYID")
		for line := range strings.Lines(s.do(t, "CLUSTER", "NODES")) {
			if fields := strings.Fields(line); len(fields) > 8 && fields[0] == ids[i] && owns(fields[8:], slot) {
				from = i
			}
		}
	}
	if from < 0 {
		t.Fatalf("no node has the slot %s: %s", slot, nodes[0].do(t, "CLUSTER", "NODES"))
	}
	to := (from + 1) % len(nodes)
	nodes[to].do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from])
	nodes[from].do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
	host, port, _ := net.SplitHostPort(nodes[to].address)
	for {
		keys := strings.Fields(strings.Trim(nodes[from].do(t, "CLUSTER", "GETKEYSINSLOT", slot, "10"), "[]"))
		if len(keys) == 0 {
			break
		}
		nodes[from].do(t, append([]string{"MIGRATE", host, port, "", "0", "5000", "KEYS"}, keys...)...)
	}
	for _, i := range []int{to, from} {
		nodes[i].do(t, "CLUSTER", "SETSLOT", slot, "NODE", ids[to])
	}
}

// owns reports whether slot is in the ranges of a line of CLUSTER NODES.
func owns(ranges []string, slot string) bool {
	n, _ := strconv.Atoi(slot)
	for _, text := range ranges {
		first, last, ok := strings.Cut(text, "-")
		if !ok {
			last = first
		}
		a, err := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err == nil && err2 == nil && a <= n && n <= b {
			return true
		}
	}
	return false
}
