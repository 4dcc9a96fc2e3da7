package revindex

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// replace replaces the log by another one with other entries, as a failover
// does to a replica that missed writes.
func (f *faulty) replace(t *testing.T, limits store.Limits, revocations ...store.Revocation) {
	t.Helper()
	log := memory.New(limits)
	mustRevoke(t, log, revocations...)
	f.change(func(f *faulty) { f.log = log })
	f.writes.Store(0)
}

// held returns the revocations in the log.
func (f *faulty) held(t *testing.T) []store.Revocation {
	t.Helper()
	log, _, _, _, _, _ := f.current()
	var all []store.Revocation
	for cursor := (store.Cursor{}); ; {
		page, err := log.Read(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, page.Revocations...); page.End {
			return all
		}
		cursor = page.Next
	}
}

// forAWhile returns a canonical revocation of a session.
func forAWhile(id string, lives time.Duration) store.Revocation {
	return store.Revocation{Target: store.TargetSession, ID: id, Expires: time.Now().Add(lives).Truncate(time.Millisecond).UTC()}
}

// TestIndexRestores checks that after a failover to a replica that missed
// writes, the log gets exactly what it lacks (D6), and a node that starts later
// has everything (D9).
func TestIndexRestores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newFaulty(), &logLines{}
		var before, lost []store.Revocation
		for n := range 3 * store.MaxPage {
			r := forAWhile(fmt.Sprint(n), time.Hour)
			before = append(before, r)
			if n%2 == 1 {
				lost = append(lost, r)
			}
			mustRevoke(t, log, r)
		}
		now := time.Now().Truncate(time.Millisecond).UTC()
		subject := store.Revocation{Target: store.TargetSubject, ID: "ann", Before: now, Expires: now.Add(time.Hour)}
		older := store.Revocation{Target: store.TargetOlder, ID: "s", Generation: 7, Expires: now.Add(time.Hour)}
		mustRevoke(t, log, subject, older)
		x := startIndex(t, Config{Log: log, Logger: lines.logger()})

		kept := slices.DeleteFunc(slices.Clone(before), func(r store.Revocation) bool { return slices.Contains(lost, r) })
		weakSubject, weakOlder := subject, older
		weakSubject.Before, weakOlder.Generation = now.Add(-time.Minute), 6
		log.replace(t, store.Limits{}, weakSubject, weakOlder, kept[0])
		mustRevoke(t, log.log, kept[1:store.MaxPage]...)
		mustRevoke(t, log.log, kept[store.MaxPage:]...)
		time.Sleep(contactEvery + maxBackoff)
		synctest.Wait()
		if age := time.Since(x.Contact()); age > contactEvery {
			t.Errorf("contact %v ago", age)
		}
		if n := int(log.writes.Load()); n != len(lost)+2 {
			t.Errorf("%d written, want %d", n, len(lost)+2)
		}
		got := map[string]store.Revocation{}
		for _, r := range log.held(t) {
			got[r.ID] = r
		}
		for _, r := range append(before, subject, older) {
			if got[r.ID] != r {
				t.Errorf("the log has %v, want %v", got[r.ID], r)
			}
		}
		if lines.count(fmt.Sprintf("had lost\" revocations=%d", len(lost)+2)) != 1 {
			t.Errorf("log: %s", lines.String())
		}
		fresh := startIndex(t, Config{Log: log})
		if !fresh.Revoked(&token.Claims{SessionID: "1"}) || fresh.Len() != x.Len() {
			t.Errorf("a new node has %d, want %d", fresh.Len(), x.Len())
		}
	})
}

// TestIndexRestoresFirst checks that an index has no contact with a replaced
// log until it has added the entries that the log lacks (D11), even if adding
// fails repeatedly or the log is replaced again.
func TestIndexRestoresFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFaulty()
		mustRevoke(t, log, forAWhile("a", time.Hour), forAWhile("b", time.Hour))
		x := startIndex(t, Config{Log: log})
		flushed := time.Now()
		log.change(func(f *faulty) { f.refuse = errDisk })
		log.replace(t, store.Limits{}, forAWhile("a", time.Hour))
		time.Sleep(time.Minute)
		if contact := x.Contact(); contact.After(flushed) {
			t.Errorf("contact %v after the log was flushed", contact.Sub(flushed))
		}
		log.replace(t, store.Limits{}, forAWhile("b", 2*time.Hour))
		time.Sleep(time.Minute)
		if contact := x.Contact(); contact.After(flushed) {
			t.Errorf("contact %v after the log was flushed", contact.Sub(flushed))
		}
		for _, id := range []string{"a", "b"} {
			if !x.Revoked(&token.Claims{SessionID: id}) {
				t.Errorf("%s is not revoked", id)
			}
		}
		log.change(func(f *faulty) { f.refuse = nil })
		time.Sleep(maxBackoff + contactEvery)
		if age := time.Since(x.Contact()); age > contactEvery || log.writes.Load() != 1 || len(log.held(t)) != 2 {
			t.Errorf("contact %v ago, %d written, the log has %v", age, log.writes.Load(), log.held(t))
		}
	})
}

// TestIndexRestoresWhatMatters checks that revocations that are obsolete, or
// that the revocation of everything covers, are not written back.
func TestIndexRestoresWhatMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFaulty()
		sid := store.NewSessionID(time.Now())
		time.Sleep(time.Millisecond)
		all := store.Revocation{Target: store.TargetAll, Before: time.Now().Truncate(time.Millisecond).UTC(), Expires: forAWhile("", 3*time.Hour).Expires}
		obsolete := forAWhile("obsolete", -store.ClockSlack+10*time.Millisecond)
		token := store.Revocation{Target: store.TargetToken, ID: "t", Expires: all.Expires}
		mustRevoke(t, log, forAWhile(sid, time.Hour), obsolete, token)
		startIndex(t, Config{Log: log})
		mustRevoke(t, log, all)
		synctest.Wait()
		time.Sleep(20 * time.Millisecond)
		log.replace(t, store.Limits{})
		time.Sleep(contactEvery + maxBackoff)
		if got, want := log.held(t), []store.Revocation{all, token}; !slices.Equal(got, want) || log.writes.Load() != 2 {
			t.Errorf("the log has %v, want %v; %d were written", got, want, log.writes.Load())
		}
		log.replace(t, store.Limits{}, all, token)
		time.Sleep(contactEvery + maxBackoff)
		if n := log.writes.Load(); n != 0 {
			t.Errorf("%d were written to a log that lacks nothing", n)
		}
	})
}

// TestIndexHoldsWhatANewLogRefuses checks that an index holds the revocations
// that a replaced log refuses, goes on, and adds them when there is room. It
// does not hold those that no replica has confirmed.
func TestIndexHoldsWhatANewLogRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newFaulty(), &logLines{}
		log.doubt = fmt.Errorf("%w: no replica", store.ErrUnconfirmed)
		for n := range 5 {
			if err := log.Revoke(t.Context(), forAWhile(fmt.Sprint(n), 5*time.Hour)); !errors.Is(err, store.ErrUnconfirmed) {
				t.Fatal(err)
			}
		}
		x := startIndex(t, Config{Log: log, Logger: lines.logger()})
		log.replace(t, store.Limits{Revocations: 4}, forAWhile("other", time.Minute), forAWhile("another", time.Minute))
		time.Sleep(maxBackoff + 30*time.Second)
		if age := time.Since(x.Contact()); age > contactEvery || x.Held() != 3 || len(log.held(t)) != 4 {
			t.Errorf("contact %v ago, %d held, the log has %v", age, x.Held(), log.held(t))
		}
		if lines.count("the log has lost revocations and refuses them") != 1 || lines.count("the store fails") != 0 {
			t.Errorf("log: %s", lines.String())
		}
		time.Sleep(time.Minute + store.ClockSlack)
		if n := len(log.held(t)); x.Held() != 1 || n != 4 {
			t.Errorf("%d held, the log has %d", x.Held(), n)
		}
	})
}
