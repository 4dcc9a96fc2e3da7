package attack

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth"
	"wsauth/token"
)

// TestTicketRace checks that if a ticket is used 100 times at once, on three
// guards that share a store, exactly one use opens a socket (L10).
func TestTicketRace(t *testing.T) {
	const uses = 100
	config := ticketConfig(t)
	nodes := [3]*target{newTarget(t, config), newTarget(t, config), newTarget(t, config)}
	parent := issue(t, token.TypeAccess, "alice", token.Options{}).Claims
	round := func(use func(node *target, k string) error) {
		t.Helper()
		k := ticket(t, nodes[0].guard, parent, "/access")
		var opened, refused atomic.Int32
		start := make(chan struct{})
		var users sync.WaitGroup
		for i := range uses {
			users.Go(func() {
				<-start
				switch err := use(nodes[i%3], k); {
				case err == nil:
					opened.Add(1)
				case errors.Is(err, wsauth.TokenInvalid):
					refused.Add(1)
				}
			})
		}
		close(start)
		users.Wait()
		if opened.Load() != 1 || refused.Load() != uses-1 {
			t.Fatalf("L10: %d uses opened a socket, %d were refused", opened.Load(), refused.Load())
		}
	}
	for range 3 { // rounds over connections
		round(func(x *target, k string) error {
			a := x.send(t, byTicket("/access", k))
			if a.StatusCode == http.StatusSwitchingProtocols {
				return nil
			}
			return map[bool]error{true: wsauth.TokenInvalid, false: wsauth.InternalError}[a.StatusCode == 401]
		})
	}
	shared := request(t, upgrade("/access", fromOurs))
	limit, rounds, started := 10_000, 0, time.Now()
	for ; rounds < limit && (os.Getenv("WSAUTH_TEST_ALL") == "1" || time.Since(started) < 2*time.Second); rounds++ {
		round(func(x *target, k string) error {
			r := shared.Clone(t.Context())
			r.URL.RawQuery = "ticket=" + k
			_, err := x.guard.Check(r, wsauth.Access)
			return err
		})
	}
	t.Logf("%d rounds in %v", rounds, time.Since(started).Round(time.Millisecond))
}

// TestTiming checks that the time of a refusal does not reveal how much of a
// guess is right (R4). It compares two classes of guesses. Those of the first
// class differ from the secret only in the last character. Those of the second
// are another secret of the same kind, altered in the same way, so that the
// classes differ in nothing else.
func TestTiming(t *testing.T) {
	config := ticketConfig(t)
	config.Extractors = append(config.Extractors, wsauth.Cookies{})
	guard := must(wsauth.New(config))
	var made [64]*token.Token
	var tickets [2][64]string // of unused tickets and of used ones
	for i := range made {
		made[i] = issue(t, token.TypeAccess, "alice", token.Options{CSRF: true})
		good := rand.N(2) // so that the position in memory does not matter
		tickets[good][i] = ticket(t, guard, made[i].Claims, "/access")
		tickets[1-good][i] = ticket(t, guard, made[i].Claims, "/access")
		if _, err := guard.Check(request(t, byTicket("/access", tickets[1][i])), wsauth.Access); err != nil {
			t.Fatal(err)
		}
	}
	// prepare changes r into a request with a guess for the secret of one
	// token. The guess is made from the secret of that token or of another.
	for name, c := range map[string]struct {
		prepare func(r *http.Request, of, like int)
		raw     string
		want    wsauth.Reason
	}{
		"R4/MAC": {func(r *http.Request, of, like int) {
			raw, other := made[of].Raw, made[like].Raw
			dot, otherDot := strings.LastIndexByte(raw, '.'), strings.LastIndexByte(other, '.')
			// The last byte is encoded in two characters. The second of them
			// has unused bits.
			guess := spoil(other[otherDot+1:len(other)-1], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") + "A"
			r.Header["Authorization"] = []string{"Bearer " + raw[:dot+1] + guess}
		}, upgrade("/access", fromOurs), wsauth.TokenInvalid},
		"R4/CSRF": {func(r *http.Request, of, like int) {
			r.Header["Cookie"] = []string{"__Host-access_token_cookie=" + made[of].Raw}
			r.Header["X-Csrf-Token"] = []string{spoil(made[like].Claims.CSRF, "0123456789abcdef")}
		}, upgrade("/access", fromOurs), wsauth.CSRFMismatch},
		"R4/ticket": {func(r *http.Request, of, like int) {
			r.URL.RawQuery = "ticket=" + spoil(tickets[min(of^like, 1)][like], "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
		}, upgrade("/access", fromOurs), wsauth.TokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, c.raw)
			sample := func(near bool) float64 {
				of := rand.N(len(made))
				like := (of + 1 + rand.N(len(made)-1)) % len(made)
				if near {
					like = of
				}
				c.prepare(r, of, like)
				started := time.Now()
				_, err := guard.Check(r, wsauth.Access)
				spent := time.Since(started)
				if !errors.Is(err, c.want) {
					t.Fatalf("Check: %v", err)
				}
				return float64(spent.Nanoseconds())
			}
			// A busy machine may hide a difference or show one by chance, but
			// not in most of the tries.
			const tries, limit = 5, 4.5
			var scores []float64
			significant := 0
			for len(scores) < tries && significant <= tries/2 && len(scores)-significant <= tries/2 {
				score := welch(20_000, sample)
				scores = append(scores, score)
				if math.Abs(score) >= limit {
					significant++
				}
			}
			t.Logf("t = %.2f", scores)
			if significant > tries/2 {
				t.Errorf("guesses that are nearly right take a different time than others: t = %.2f", scores)
			}
		})
	}
}

// spoil returns secret with another last character.
func spoil(secret, alphabet string) string {
	last := len(secret) - 1
	at := strings.IndexByte(alphabet, secret[last]) + 1 + rand.N(len(alphabet)-1)
	return secret[:last] + alphabet[at%len(alphabet):][:1]
}

// welch returns Welch's t for n samples of each of two classes, taken in random
// order. It discards the slowest 10 % of the samples, since other work has
// probably interrupted them.
func welch(n int, sample func(near bool) float64) float64 {
	var classes [2][]float64
	for range n {
		first := rand.N(2)
		classes[first] = append(classes[first], sample(first == 0))
		classes[1-first] = append(classes[1-first], sample(first != 0))
	}
	pooled := slices.Sorted(slices.Values(slices.Concat(classes[0], classes[1])))
	limit := pooled[len(pooled)*9/10]
	var mean, varianceOfMean [2]float64 // the variance of the mean
	for i, class := range classes {
		class = slices.DeleteFunc(class, func(x float64) bool { return x > limit })
		for _, x := range class {
			mean[i] += x / float64(len(class))
		}
		for _, x := range class {
			varianceOfMean[i] += (x - mean[i]) * (x - mean[i]) / float64(len(class)-1) / float64(len(class))
		}
	}
	return (mean[0] - mean[1]) / math.Sqrt(varianceOfMean[0]+varianceOfMean[1])
}
