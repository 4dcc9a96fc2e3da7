package bolt

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth/internal/testenv"
	"wsauth/store"
)

// damages is the number of damaged copies of each kind that the tests make:
//
//	go test ./store/bolt -run 'TestDamaged' -damages 500 -v -timeout 1h
var damages = flag.Int("damages", 0, "how many damaged copies of each kind the tests of damage make; 0: 12, or 30 with WSAUTH_TEST_ALL=1")

func damagesOfAKind() int { return cmp.Or(*damages, testenv.Size(12, 30)) }

// A history is a file after many commits, with the changes that it must never
// lose.
type history struct {
	images  [][]byte // the file at several times, the last one as it is now
	revoked []store.Revocation
	current map[string]string // ID of a session: its token; "" after its end
	taken   []store.TicketKey
}

func (h *history) now() []byte { return h.images[len(h.images)-1] }

// live makes a file with hundreds of revocations of all kinds, with sessions
// that rotated and ended, and with taken tickets.
func live(t testing.TB) *history {
	t.Helper()
	path := newPath(t)
	s, err := Open(path, store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	h := &history{current: map[string]string{}}
	ctx, now := t.Context(), time.Now()
	end := now.Add(24 * time.Hour)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	snapshot := func() {
		t.Helper()
		image, err := os.ReadFile(path)
		must(err)
		h.images = append(h.images, image)
	}
	revoke := func(all ...store.Revocation) {
		t.Helper()
		must(s.Revoke(ctx, all...))
		h.revoked = append(h.revoked, all...)
	}
	for round := range 12 {
		var all []store.Revocation
		for n := range 30 {
			id := fmt.Sprintf("%d-%d-%s", round, n, strings.Repeat("x", n))
			all = append(all,
				store.Revocation{Target: store.TargetToken, ID: "token" + id, Expires: end},
				store.Revocation{Target: store.TargetSession, ID: "session" + id, Expires: end},
				store.Revocation{Target: store.TargetSubject, ID: "user" + id, Before: now, Expires: end})
		}
		revoke(all...)
		for n := range 8 {
			id := fmt.Sprint("session-", round, "-", n)
			f := store.Session{ID: id, Subject: userOf(id), Current: "0", Started: now, Expires: end, Ends: end, Remote: "192.0.2.1", Agent: strings.Repeat("agent", 20)}
			must(s.BeginSession(ctx, f))
			h.current[id] = "0"
		}
		for _, id := range slices.Sorted(maps.Keys(h.current)) {
			switch from := h.current[id]; {
			case from == "":
			case len(id)%2 == 0 && round%3 == 2:
				must(s.EndSession(ctx, userOf(id), id))
				h.current[id] = ""
			default:
				to := fmt.Sprint(from, round%10)
				_, err := s.RotateSession(ctx, store.Rotation{Subject: userOf(id), ID: id, From: from, To: to, Expires: end})
				must(err)
				h.current[id] = to
			}
		}
		for n := range 4 {
			key := store.TicketKey(sha256.Sum256([]byte{byte(round), byte(n)}))
			must(s.PutTicket(ctx, key, bytes.Repeat([]byte{byte(n)}, 100<<(2*n)), end))
			if n%2 == 0 {
				_, err := s.TakeTicket(ctx, key)
				must(err)
				h.taken = append(h.taken, key)
			}
		}
		snapshot()
	}
	// Small commits. The last one contains only a revocation.
	for n := range 6 {
		snapshot()
		revoke(store.Revocation{Target: store.TargetSession, ID: fmt.Sprint("last-", n), Expires: end})
	}
	snapshot()
	revoke(store.Revocation{Target: store.TargetAll, Before: now.Add(-time.Hour), Expires: end})
	snapshot()
	must(s.Close())
	return h
}

// forgotten returns the changes that a store must not lose, but has lost or has
// in an older state. An error of the store is not a loss, because it grants no
// access.
func (h *history) forgotten(ctx context.Context, s *Store) (all []string) {
	found := map[string]store.Revocation{}
	name := func(r store.Revocation) string { return fmt.Sprint(r.Target, " ", r.ID) }
	for cursor, full := (store.Cursor{}), true; full; {
		page, err := s.Read(ctx, cursor)
		if err != nil {
			found = nil
			break
		}
		for _, r := range page.Revocations {
			found[name(r)] = r
		}
		cursor, full = page.Next, len(page.Revocations) == store.MaxPage
	}
	for _, r := range h.revoked {
		has := found[name(r)]
		if found != nil && (has.Before.UnixMilli() < r.Before.UnixMilli() && !r.Before.IsZero() || has.Expires.UnixMilli() < r.Expires.UnixMilli()) {
			all = append(all, name(r))
		}
	}
	return append(all, h.back(ctx, s)...)
}

// userOf returns the subject of a session. Sessions with the same number in
// different rounds have the same subject.
func userOf(id string) string { return "user-" + id[strings.LastIndexByte(id, '-')+1:] }

// back returns the sessions and the tickets that a store accepts although it
// must refuse them.
func (h *history) back(ctx context.Context, s *Store) (all []string) {
	for id, current := range h.current {
		// Every token except the current one is refused, and so is the current one
		// after the end.
		if current == "" {
			_, err := s.PresentSession(ctx, store.Presentation{Subject: userOf(id), ID: id, Token: "0"})
			if err == nil {
				all = append(all, id+" is back after its end")
			}
			continue
		}
		_, err := s.PresentSession(ctx, store.Presentation{Subject: userOf(id), ID: id, Token: current[:len(current)-1]})
		if err == nil {
			all = append(all, id+" is back at an older token")
		}
	}
	for _, key := range h.taken {
		if _, err := s.TakeTicket(ctx, key); err == nil {
			all = append(all, fmt.Sprintf("ticket %x is back", key[:4]))
		}
	}
	return all
}

// A damage returns the damaged image of a file. It may modify the image in
// place.
type damage func(r *rand.Rand, h *history, image []byte) []byte

const testPage = 4096

// onPage returns a damage to one page that is or was in use.
func onPage(change func(r *rand.Rand, h *history, image, page []byte, number int)) damage {
	return func(r *rand.Rand, h *history, image []byte) []byte {
		number := r.IntN(len(image) / testPage)
		change(r, h, image, image[number*testPage:][:testPage], number)
		return image
	}
}

func fillRandom(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

// damageKinds returns the kinds of damage that disks, file systems and
// incomplete copies cause.
func damageKinds() map[string]damage {
	return map[string]damage{
		"bit flipped": onPage(func(r *rand.Rand, _ *history, _, page []byte, _ int) {
			page[r.IntN(testPage)] ^= 1 << r.IntN(8)
		}),
		"bit flipped in the first pages": func(r *rand.Rand, _ *history, image []byte) []byte {
			image[r.IntN(2)*testPage+r.IntN(80)] ^= 1 << r.IntN(8)
			return image
		},
		"bit flipped in the heads of pages": onPage(func(r *rand.Rand, _ *history, _, page []byte, _ int) {
			page[r.IntN(96)] ^= 1 << r.IntN(8)
		}),
		"bytes overwritten": onPage(func(r *rand.Rand, _ *history, _, page []byte, _ int) {
			from := r.IntN(testPage)
			fillRandom(r, page[from:min(testPage, from+1+r.IntN(64))])
		}),
		"page zeroed": onPage(func(_ *rand.Rand, _ *history, _, page []byte, _ int) { clear(page) }),
		"page of noise": onPage(func(r *rand.Rand, _ *history, _, page []byte, _ int) {
			fillRandom(r, page)
		}),
		"sector zeroed": onPage(func(r *rand.Rand, _ *history, _, page []byte, _ int) { clear(page[512*r.IntN(8):][:512]) }),
		"pages swapped": onPage(func(r *rand.Rand, _ *history, image, page []byte, _ int) {
			other := image[r.IntN(len(image)/testPage)*testPage:][:testPage]
			kept := bytes.Clone(other)
			copy(other, page)
			copy(page, kept)
		}),
		"page over another": onPage(func(r *rand.Rand, _ *history, image, page []byte, _ int) {
			copy(page, image[r.IntN(len(image)/testPage)*testPage:])
		}),
		"page over another, renumbered": onPage(func(r *rand.Rand, _ *history, image, page []byte, number int) {
			copy(page, image[r.IntN(len(image)/testPage)*testPage:])
			native.PutUint64(page, uint64(number))
		}),
		"write of a page lost": onPage(func(r *rand.Rand, h *history, _, page []byte, number int) {
			if old := h.images[r.IntN(len(h.images)-1)]; len(old) >= (number+1)*testPage {
				copy(page, old[number*testPage:])
			}
		}),
		"last write of a page lost": onPage(func(r *rand.Rand, h *history, _, page []byte, number int) {
			if old := h.images[len(h.images)-2-r.IntN(3)]; len(old) >= (number+1)*testPage {
				copy(page, old[number*testPage:])
			}
		}),
		"write of a first page lost": func(r *rand.Rand, h *history, image []byte) []byte {
			number := r.IntN(2)
			copy(image[number*testPage:][:testPage], h.images[len(h.images)-2-r.IntN(6)][number*testPage:])
			return image
		},
		"writes of some pages lost": func(r *rand.Rand, h *history, image []byte) []byte {
			old := h.images[len(h.images)-2-r.IntN(6)]
			for number := 2; number < min(len(image), len(old))/testPage; number++ {
				if r.IntN(3) == 0 {
					copy(image[number*testPage:][:testPage], old[number*testPage:])
				}
			}
			return image
		},
		"all but the first pages old": func(r *rand.Rand, h *history, image []byte) []byte {
			return append(bytes.Clone(image[:2*testPage]), h.images[r.IntN(len(h.images)-1)][2*testPage:]...)
		},
		"cut off": func(r *rand.Rand, _ *history, image []byte) []byte { return image[:r.IntN(len(image))] },
		"cut off at a page": func(r *rand.Rand, _ *history, image []byte) []byte {
			return image[:r.IntN(len(image)/testPage)*testPage]
		},
		"garbage at the end": func(r *rand.Rand, _ *history, image []byte) []byte {
			more := make([]byte, r.IntN(3*testPage))
			fillRandom(r, more)
			return append(image, more...)
		},
		"bytes missing": func(r *rand.Rand, _ *history, image []byte) []byte {
			from := r.IntN(len(image) - 100)
			return slices.Delete(image, from, from+1+r.IntN(100))
		},
		"zeros": func(_ *rand.Rand, _ *history, image []byte) []byte { clear(image); return image },
	}
}

// TestDamaged checks that a damaged file is either refused with a one-line
// error or complete: it has all revocations, and no replaced token and no taken
// ticket is valid again.
func TestDamaged(t *testing.T) {
	t.Parallel()
	h := live(t)
	path := newPath(t)
	kinds := damageKinds()
	total := map[string]int{}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		opened, refused := 0, 0
		for n := range damagesOfAKind() {
			r := rand.New(rand.NewPCG(uint64(n), uint64(len(kind)))) //nolint:gosec // seeded, to be repeated
			image := kinds[kind](r, h, bytes.Clone(h.now()))
			same := bytes.Equal(image, h.now())
			if err := os.WriteFile(path, image, 0o600); err != nil {
				t.Fatal(err)
			}
			started := time.Now()
			s, err := Open(path, store.Limits{})
			if err != nil {
				refused++
				sentence(t, kind, n, err)
				if same {
					t.Errorf("%s %d: the file is unchanged: %v", kind, n, err)
				}
			} else {
				opened++
				if lost := h.forgotten(t.Context(), s); len(lost) > 0 {
					t.Errorf("%s %d: %d lost, such as %s", kind, n, len(lost), lost[0])
				}
				if err := s.Close(); err != nil {
					t.Errorf("%s %d: Close: %v", kind, n, err)
				}
			}
			if d := time.Since(started); d > 30*time.Second {
				t.Errorf("%s %d: %v", kind, n, d)
			}
		}
		t.Logf("%-36s %4d refused, %4d opened, with nothing lost", kind, refused, opened)
		total["refused"] += refused
		total["opened"] += opened
	}
	t.Logf("%d copies: %v", total["refused"]+total["opened"], total)
	if total["refused"] < len(kinds) || total["opened"] == 0 {
		t.Error("too few copies were damaged")
	}
}

// sentence checks that an error is about damage, and that it says what to do,
// in one line.
func sentence(t *testing.T, kind string, n int, err error) {
	t.Helper()
	if !errors.Is(err, ErrDamaged) || strings.ContainsAny(err.Error(), "\n\t") || len(err.Error()) > 600 || !strings.Contains(err.Error(), "revoke everything until now") {
		t.Errorf("%s %d: %v", kind, n, err)
	}
}
