package wsclient

import (
	"context"
	"errors"
	"sync"
	"time"
)

// renewals keep a session alive, and with it the socket: the server gives that the time of the new access token.
type renewals struct {
	client *Client
	ask    func() error
	cancel context.CancelFunc // of ask
	timer  *time.Timer
	due    <-chan time.Time // nil where nothing is renewed
	done   chan error
	asking sync.WaitGroup
}

// keepAlive begins to renew the session where it is to be renewed.
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

// begin asks for new tokens.
func (r *renewals) begin() {
	r.asking.Go(func() { r.done <- r.ask() })
}

// finish tells what came of it, and plans the next.
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

// stop ends it. The account is free then.
func (r *renewals) stop() {
	r.cancel()
	if r.timer != nil {
		r.timer.Stop()
	}
	r.asking.Wait()
}
