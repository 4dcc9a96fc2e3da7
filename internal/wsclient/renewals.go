package wsclient

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// renewals renews a session periodically. The server extends the socket until
// the new access token expires.
type renewals struct {
	client *Client
	ask    func() error
	cancel context.CancelFunc // cancels ask
	timer  *time.Timer
	due    <-chan time.Time // nil if the session is not renewed
	done   chan error
	asking sync.WaitGroup
}

// keepAlive starts renewing the session, if that is configured and possible.
func (v *conversation) keepAlive(ctx context.Context) *renewals {
	ctx, cancel := context.WithCancel(ctx)
	r := &renewals{client: v.client, cancel: cancel, done: make(chan error, 1)}
	r.ask = func() error { return v.client.account.Refresh(ctx) }
	if c := v.client; c.config.User != "" && !c.config.NoRenew && !c.account.expires.IsZero() {
		r.timer = time.NewTimer(r.pause())
		r.due = r.timer.C
	}
	return r
}

func (r *renewals) pause() time.Duration {
	return renewIn(time.Until(r.client.account.expires), r.client.account.life)
}

// begin requests new tokens.
func (r *renewals) begin() {
	r.asking.Go(func() { r.done <- r.ask() })
}

// finish reports the result of a renewal and schedules the next one.
func (r *renewals) finish(err error) error {
	report := r.client.config.Report
	refusal, refused := errors.AsType[*Refusal](err)
	if refused && final(refusal) {
		r.due = nil
		return report.renewalFailed(err, true)
	}
	r.timer.Reset(r.pause())
	if err != nil {
		return report.renewalFailed(err, false)
	}
	return report.renewed(r.client.account)
}

// stop stops renewing. Afterwards, the account is not in use.
func (r *renewals) stop() {
	r.cancel()
	if r.timer != nil {
		r.timer.Stop()
	}
	r.asking.Wait()
}

// renewIn returns how long to wait before renewing a session, given the
// remaining time and the lifetime of the access token. It is a random 50 to 80
// % of the remaining time, as in the browser module, so that clients that
// began together do not keep renewing together. The lower limits space out
// repeated attempts.
func renewIn(left, life time.Duration) time.Duration {
	return max(time.Duration((0.5+0.3*rand.Float64())*float64(left)), min(5*time.Second, life/10), 500*time.Millisecond) //nolint:gosec // no secret
}

// retryIn returns how long to wait before repeating a request whose answer was
// lost, after the given number of attempts.
func retryIn(tries int) time.Duration {
	return rand.N(250 * time.Millisecond << (tries - 1)) //nolint:gosec // no secret
}
