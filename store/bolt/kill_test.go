package bolt

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"wsauth/store"
)

// childEnv names the file of a child that revokes until it is killed.
const childEnv = "WSAUTH_BOLT_CHILD"

// groupSize is how many revocations the child adds in one call.
const groupSize = 3

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		revokeForEver(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// revokeForEver writes a line for each group that was acknowledged.
func revokeForEver(path string) {
	s, err := Open(path, Options{})
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for writer := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), writer, n)
				if err := s.Revoke(context.Background(), group(name)...); err != nil {
					panic(err)
				}
				fmt.Println(name)
			}
		})
	}
	wg.Wait()
}

func group(name string) []store.Revocation {
	all := make([]store.Revocation, groupSize)
	for i := range all {
		all[i] = inAMinute(fmt.Sprint(name, ".", i))
	}
	return all
}

// TestKill: whenever the process is killed, all that it acknowledged is in the
// file, and every group is whole.
func TestKill(t *testing.T) {
	rounds := 10
	if os.Getenv("WSAUTH_TEST_ALL") == "1" {
		rounds = 100
	}
	path := newPath(t)
	acknowledged := map[string]bool{}
	for range rounds {
		for _, name := range killedChild(t, path, rand.IntN(100)) {
			acknowledged[name] = true
		}
		found := readGroups(t, path)
		for name := range acknowledged {
			if found[name] == 0 {
				t.Fatalf("%s was acknowledged and is lost", name)
			}
		}
		for name, n := range found {
			if n != groupSize {
				t.Fatalf("%d of the %d of %s", n, groupSize, name)
			}
		}
	}
	if len(acknowledged) < rounds {
		t.Errorf("%d groups in %d rounds", len(acknowledged), rounds)
	}
}

// killedChild kills a child after some lines, and returns all that it wrote.
func killedChild(t *testing.T, path string, lines int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var names []string
	reader := bufio.NewReader(out)
	for {
		line, err := reader.ReadString('\n')
		if err != nil { // a line without its end was not acknowledged
			break
		}
		if names = append(names, strings.TrimSpace(line)); len(names) == lines+1 {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return names
}

// readGroups counts the revocations of each group in the file.
func readGroups(t *testing.T, path string) map[string]int {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries(t, s)
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
