package bolt

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"wsauth/internal/testenv"
	"wsauth/store"
)

// kills is the number of times that TestKill kills a child:
//
//	go test ./store/bolt -run TestKill -kills 5000 -timeout 1h
var kills = flag.Int("kills", 0, "how often TestKill kills a child; 0: 20 times, or 300 with WSAUTH_TEST_ALL=1")

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		workForEver(path)
	}
	goleak.VerifyTestMain(m)
}

// killsPerFile is the number of children that work on one file, one after
// another. After each child, the results of all earlier ones are checked again.
const killsPerFile = 50

// TestKill (D8) checks that after a kill the file has all acknowledged changes,
// and no partial ones. No revocation is lost, no ticket can be taken twice, no
// session accepts a replaced token, and no ended session exists again.
func TestKill(t *testing.T) {
	// Tests that start child processes are not parallel: until a child has
	// started, it holds the locks of files that other tests close and open.
	rounds := cmp.Or(*kills, testenv.Size(20, 300))
	var mu sync.Mutex
	total := map[string]int{}
	t.Run("files", func(t *testing.T) {
		for first := 0; first < rounds; first += killsPerFile {
			t.Run(fmt.Sprint(first), func(t *testing.T) {
				did := killMany(t, min(killsPerFile, rounds-first))
				mu.Lock()
				defer mu.Unlock()
				for verb, n := range did {
					total[verb] += n
				}
			})
		}
	})
	t.Logf("%d kills; what the children did: %v", rounds, total)
	for _, verb := range []string{"revoked", "took", "rotated", "ended"} {
		if total[verb] < rounds {
			t.Errorf("%s only %d times", verb, total[verb])
		}
	}
}

// killMany kills children that work on one file, one after another, and counts
// their reported steps.
func killMany(t *testing.T, rounds int) map[string]int {
	all, path := newLedger(), newPath(t)
	total := map[string]int{}
	for round := range rounds {
		said := killedChild(t, path)
		for _, line := range said {
			verb, name, _ := strings.Cut(line, " ")
			total[verb]++
			all.note(t, verb, name)
		}
		s, err := Open(path, store.Limits{})
		if err != nil {
			t.Fatalf("after kill %d: %v", round+1, err)
		}
		all.check(t, s)
		entries(t, s)
		checkPages(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Fatalf("kill %d", round+1)
		}
	}
	return total
}

// killedChild kills a child at a random time during its start or its work, and
// returns the lines that it wrote.
func killedChild(t *testing.T, path string) (lines []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	var trouble strings.Builder
	cmd.Stderr = &trouble
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	}
	// After this many lines, or soon after its start.
	wanted := rand.IntN(200)
	var timer *time.Timer
	if rand.IntN(4) == 0 {
		wanted, timer = -1, time.AfterFunc(rand.N(60*time.Millisecond), kill)
	}
	reader := bufio.NewReader(out)
	for {
		line, err := reader.ReadString('\n')
		if err != nil { // an incomplete line does not count
			break
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
		if len(lines) == wanted+1 && timer == nil {
			timer = time.AfterFunc(rand.N(3*time.Millisecond), kill)
		}
	}
	if err := cmd.Wait(); err == nil || trouble.Len() > 0 {
		t.Errorf("the child ended on its own: %v, %s", err, trouble.String())
	}
	return lines
}

// checkPages checks that bbolt accepts the file.
func checkPages(t *testing.T, s *Store) {
	t.Helper()
	err := s.db.bolt.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("pages: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// readGroups counts the revocations of each group in the file.
func readGroups(t *testing.T, s *Store) map[string]int {
	t.Helper()
	found := map[string]int{}
	for cursor, full := (store.Cursor{}), true; full; {
		page, err := s.Read(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Revocations {
			name, _, _ := strings.Cut(r.ID, ".")
			found[name]++
		}
		cursor, full = page.Next, len(page.Revocations) == store.MaxPage
	}
	return found
}
