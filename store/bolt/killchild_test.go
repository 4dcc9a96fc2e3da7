package bolt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"wsauth/store"
)

// childEnv is the environment variable with the name of the file on which a
// child works until it is killed.
const childEnv = "WSAUTH_BOLT_CHILD"

// groupSize is the number of revocations that the child adds in one call.
const groupSize = 3

// A child works like a server and reports its steps: it prints one line before
// a step that may happen without an acknowledgement, and one after each
// acknowledgement. A line is printed before the next step starts, so that a
// kill loses none.
type child struct {
	s       *Store
	started time.Time
}

// workForEver works until the process is killed.
func workForEver(path string) {
	s, err := Open(path, store.Limits{})
	must(err)
	c := child{s, time.Now()}
	var wg sync.WaitGroup
	for worker := range 2 {
		for kind, work := range map[string]func(name string, n int){"r": c.revoke, "t": c.ticket, "f": c.session} {
			wg.Go(func() {
				for n := 0; ; n++ {
					work(fmt.Sprintf("%s-%d-%d-%d", kind, os.Getpid(), worker, n), n)
				}
			})
		}
	}
	wg.Wait()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (c child) revoke(name string, _ int) {
	must(c.s.Revoke(context.Background(), group(name)...))
	fmt.Println("revoked", name)
}

// group returns groupSize revocations that are added in one call.
func group(name string) []store.Revocation {
	all := make([]store.Revocation, groupSize)
	for i := range all {
		all[i] = inAMinute(fmt.Sprint(name, ".", i))
	}
	return all
}

// ticket puts a ticket, and takes it unless n is a multiple of 3.
func (c child) ticket(name string, n int) {
	key := store.TicketKey(sha256.Sum256([]byte(name)))
	must(c.s.PutTicket(context.Background(), key, []byte(name), c.started.Add(time.Hour)))
	fmt.Println("put", name)
	if n%3 == 0 {
		return
	}
	fmt.Println("taking", name)
	value, err := c.s.TakeTicket(context.Background(), key)
	must(err)
	if string(value) != name {
		panic("another ticket's value")
	}
	fmt.Println("took", name)
}

// session begins a session, rotates it a few times, and then leaves it, ends it
// or uses an old token.
func (c child) session(name string, n int) {
	end := c.started.Add(time.Hour)
	must(c.s.BeginSession(context.Background(), store.Session{ID: name, Subject: killSubject, Current: "0", Started: c.started, Expires: end, Ends: end}))
	fmt.Println("started", name)
	for step := range n % 5 {
		fmt.Println("rotating", name)
		f, err := c.s.RotateSession(context.Background(), killRotation(name, step))
		must(err)
		if f.Current != fmt.Sprint(step+1) {
			panic("another token is good")
		}
		fmt.Println("rotated", name)
	}
	switch n % 3 {
	case 1:
		fmt.Println("ending", name)
		must(c.s.EndSession(context.Background(), killSubject, name))
		fmt.Println("ended", name)
	case 2:
		fmt.Println("ending", name)
		if _, err := c.s.RotateSession(context.Background(), killRotation(name, -1)); !errors.Is(err, store.ErrReused) {
			panic(err)
		}
		fmt.Println("ended", name)
	}
}

// killSubject is the subject of the child's sessions.
const killSubject = "child"

// killRotation returns a rotation from the token of a step. The token of step
// -1 never existed.
func killRotation(name string, step int) store.Rotation {
	return store.Rotation{Subject: killSubject, ID: name, From: fmt.Sprint(step), To: fmt.Sprint(step + 1), Expires: time.Now().Add(time.Hour)}
}
