package bolt

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/testenv"
	"wsauth/store"
)

// races is the number of tickets for which TestL10_TicketRace races:
//
//	go test ./store/bolt -run TestL10 -races 10000
var races = flag.Int("races", 0, "how many tickets TestL10_TicketRace races for; 0: 200, or 2000 with WSAUTH_TEST_ALL=1")

// TestL10_TicketRace checks that of 100 concurrent calls for each ticket,
// exactly one gets it.
func TestL10_TicketRace(t *testing.T) {
	t.Parallel()
	rounds := cmp.Or(*races, testenv.Size(200, 2000))
	const calls, groups, together = 100, 10, 100
	s := open(t, newPath(t), store.Limits{})
	for first := 0; first < rounds; first += together {
		var winners [together]atomic.Int64
		var keys [together]store.TicketKey
		var all sync.WaitGroup
		for i := range together {
			keys[i] = sha256.Sum256([]byte(fmt.Sprint(first + i)))
			all.Go(func() {
				if err := s.PutTicket(t.Context(), keys[i], keys[i][:], time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		begin := make(chan struct{})
		for call := range calls * groups {
			all.Go(func() {
				<-begin
				for i := call % groups; i < together; i += groups { // all callers of a group try each of its tickets
					value, err := s.TakeTicket(t.Context(), keys[i])
					switch {
					case err == nil && bytes.Equal(value, keys[i][:]):
						winners[i].Add(1)
					case !errors.Is(err, store.ErrNotFound) || value != nil:
						t.Errorf("ticket %d: %x, %v", first+i, value, err)
					}
				}
			})
		}
		close(begin)
		all.Wait()
		for i := range winners {
			if n := winners[i].Load(); n != 1 {
				t.Fatalf("ticket %d has %d winners", first+i, n)
			}
		}
	}
}
