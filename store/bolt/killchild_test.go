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

// childEnv names the file of a child that works on it until it is killed.
const childEnv = "WSAUTH_BOLT_CHILD"

// groupSize is how many revocations the child adds in one call.
const groupSize = 3

// child does what a server does, and says so: a line before whatever it might
// do without being able to say that it did, and one after it was acknowledged.
// A line is written before the next step begins, so that a kill loses none.
type child struct {
	s       *Store
	started time.Time
}

// workForEver never returns.
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

// group is some revocations that are added at once.
func group(name string) []store.Revocation {
	all := make([]store.Revocation, groupSize)
	for i := range all {
		all[i] = inAMinute(fmt.Sprint(name, ".", i))
	}
	return all
}

// ticket puts one, and takes two of three.
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

// session begins one, rotates it some times, and then leaves it, ends it or
// uses an old token.
func (c child) session(name string, n int) {
	end := c.started.Add(time.Hour)
	must(c.s.BeginSession(context.Background(), store.Session{ID: name, Subject: killSubject, Current: "0", Started: c.started, Expires: end, Ends: end}))
	fmt.Println("begun", name)
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
		must(c.s.EndSession(context.Background(), name))
		fmt.Println("ended", name)
	case 2:
		fmt.Println("ending", name)
		if _, err := c.s.RotateSession(context.Background(), killRotation(name, -1)); !errors.Is(err, store.ErrReused) {
			panic(err)
		}
		fmt.Println("ended", name)
	}
}

// killSubject is whose sessions the child has.
const killSubject = "child"

// killRotation presents the token of a step; that of step -1 never was.
func killRotation(name string, step int) store.Rotation {
	return store.Rotation{ID: name, From: fmt.Sprint(step), To: fmt.Sprint(step + 1), Expires: time.Now().Add(time.Hour)}
}
