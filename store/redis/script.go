package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // the engine names scripts by it
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"wsauth/store"
)

//go:embed lua/*.lua
var files embed.FS

// A script is a program that the engine runs atomically.
type script struct {
	text   string
	sha    string
	repeat bool // running it twice has no further effect
}

// newScript returns the script that consists of common.lua and the named files.
// The last file is its body.
func newScript(repeat bool, names ...string) *script {
	var text strings.Builder
	for _, name := range append([]string{"common"}, names...) {
		data, err := files.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err)
		}
		text.Write(data)
	}
	sum := sha1.Sum([]byte(text.String())) //nolint:gosec // as above
	return &script{text: text.String(), sha: hex.EncodeToString(sum[:]), repeat: repeat}
}

// lastWait is how long a canceled call still waits for the answer of the
// engine. With the answer, its outcome is known, and the next call takes effect
// after it.
const lastWait = 250 * time.Millisecond

// within calls f with a context that ends after Config.Timeout, and returns its
// result. It returns an error soon after ctx is done, and at once when s is
// closed or the time is up, even if f is still running: the client checks the
// context only in part of its work. So f must not change variables of its
// caller.
func within[T any](ctx context.Context, s *Store, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if s.closing.Err() != nil {
		return none, store.ErrClosed
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Timeout)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		value, err := f(limited)
		done <- result{value, err}
	}()
	canceled := ctx.Done()
	var last <-chan time.Time
	for {
		select {
		case r := <-done:
			switch {
			case r.err != nil && s.closing.Err() != nil:
				r.err = store.ErrClosed
			case errors.Is(r.err, context.DeadlineExceeded):
				r.err = fmt.Errorf("store/redis: no answer within %v", s.config.Timeout)
			}
			return r.value, r.err
		case <-limited.Done():
			return none, fmt.Errorf("store/redis: no answer within %v", s.config.Timeout)
		case <-s.closing.Done():
			return none, store.ErrClosed
		case <-canceled:
			canceled, last = nil, time.After(lastWait)
		case <-last:
			return none, ctx.Err()
		}
	}
}

// run calls eval through within.
func (s *Store) run(ctx context.Context, sc *script, keys []string, args ...string) ([]string, error) {
	return within(ctx, s, func(ctx context.Context) ([]string, error) { return s.eval(ctx, sc, keys, args...) })
}

// eval runs a script and returns its answer. While the engine refuses to run
// it, such as during a failover, eval tries again until ctx is done.
func (s *Store) eval(ctx context.Context, sc *script, keys []string, args ...string) ([]string, error) {
	for attempt := 1; ; attempt++ {
		answer, err := s.client.Do(ctx, s.command(sc, keys, args)).AsStrSlice()
		if again, err := s.retry(ctx, sc, err, attempt); !again {
			return answer, err
		}
	}
}

// evalConfirmed is like eval, and then waits until n replicas have confirmed
// everything that was written before. If they have not, unconfirmed says why.
// Both commands use the same connection, because WAIT waits for the writes that
// its connection has seen. For such a connection, the client does not follow a
// slot that moves to another server, so evalConfirmed does.
func (s *Store) evalConfirmed(ctx context.Context, n int, sc *script, keys []string, args ...string) (answer []string, unconfirmed, err error) {
	server, asks := s.client, false
	for attempt := 1; ; attempt++ {
		client, release := server.Dedicate()
		if asks {
			_ = client.Do(ctx, client.B().Asking().Build()).Error()
		}
		answer, err = client.Do(ctx, s.command(sc, keys, args)).AsStrSlice()
		if err == nil {
			unconfirmed = s.wait(ctx, client, n)
		}
		release()
		if server, asks = s.redirect(err); server != nil {
			continue
		}
		if again, err := s.retry(ctx, sc, err, attempt); !again {
			return answer, unconfirmed, err
		}
		server = s.client
	}
}

// redirect returns the server to which a server of a Cluster has redirected a
// command with err, or nil if err is no redirection. asks reports whether the
// command needs ASKING, because the slot is still moving to that server.
func (s *Store) redirect(err error) (server rueidis.Client, asks bool) {
	refusal, ok := rueidis.IsRedisErr(err)
	if !ok {
		return nil, false
	}
	if address, ok := refusal.IsMoved(); ok {
		return s.client.Nodes()[address], false
	}
	if address, ok := refusal.IsAsk(); ok {
		return s.client.Nodes()[address], true
	}
	return nil, false
}

// wait waits until n replicas have confirmed the writes of a connection. It
// returns an error if they have not done so within ReplicaTimeout or most of
// the time that is left for the call.
func (s *Store) wait(ctx context.Context, client rueidis.DedicatedClient, n int) error {
	timeout := s.config.ReplicaTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(min(timeout, time.Until(deadline)*9/10), time.Millisecond)
	}
	confirmed, err := client.Do(ctx, client.B().Wait().Numreplicas(int64(n)).Timeout(timeout.Milliseconds()).Build()).AsInt64()
	if err == nil && confirmed < int64(n) {
		err = fmt.Errorf("%d of %d replicas confirmed within %v", confirmed, n, timeout)
	}
	return err
}

// command returns the command that runs a script.
func (s *Store) command(sc *script, keys, args []string) rueidis.Completed {
	cmd := s.client.B().Evalsha().Sha1(sc.sha).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
	if sc.repeat {
		cmd = cmd.ToRetryable()
	}
	return cmd
}

// retry reports whether to run a script again after err. If so, it first loads
// the script if the engine lacks it, and pauses if this was not the first
// attempt. If not, it returns the error for the caller.
func (s *Store) retry(ctx context.Context, sc *script, err error, attempt int) (bool, error) {
	if err == nil {
		return false, nil
	}
	refusal, ok := rueidis.IsRedisErr(err)
	switch {
	case !ok:
		return false, fmt.Errorf("store/redis: %w", err)
	case refusal.IsNoScript():
		s.load(ctx, sc)
	case !transient(refusal.Error()):
		return false, fmt.Errorf("store/redis: %w", err)
	}
	if attempt > 1 {
		timer := time.NewTimer(min(time.Duration(attempt)*2*time.Millisecond, 50*time.Millisecond))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return false, fmt.Errorf("store/redis: %w", err)
	}
	return true, nil
}

// transient reports whether the engine refuses to run any command for now, and
// has not run this one.
func transient(refusal string) bool {
	return slices.ContainsFunc([]string{"READONLY ", "TRYAGAIN ", "CLUSTERDOWN ", "LOADING ", "MASTERDOWN ", "MOVED ", "ASK "}, func(code string) bool {
		return strings.HasPrefix(refusal, code) || strings.Contains(refusal, " -"+code) // a script's error, before version 7
	})
}

// loadWithin is how long to wait for servers to load a script. A server that
// does not answer may be dead, and still known to the client.
const loadWithin = 250 * time.Millisecond

// load loads a script on all servers. It ignores errors, which appear again
// when the script is run.
func (s *Store) load(ctx context.Context, sc *script) {
	ctx, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	var wg sync.WaitGroup
	for _, node := range s.client.Nodes() {
		wg.Go(func() { _ = node.Do(ctx, node.B().ScriptLoad().Script(sc.text).Build()).Error() })
	}
	wg.Wait()
}
