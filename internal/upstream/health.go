package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// watch asks the server how it is until ctx is done. The first question comes
// within a second, and the second at a random time of the interval: routes
// that start together do not ask together.
func (t *target) watch(ctx context.Context, h Health) {
	wait, next := rand.N(min(h.Every, time.Second)), rand.N(h.Every) //nolint:gosec // keeps no secret
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		timer.Reset(next)
		next = h.Every
		t.learn(t.ask(ctx, h))
	}
}

// learn notes how the server is, and logs a change.
func (t *target) learn(err error) {
	if errors.Is(err, ErrTooManyOpen) {
		return // which says nothing of the server
	}
	if sick := err != nil; t.sick.Swap(sick) == sick {
		return
	}
	if err != nil {
		t.config.Logger.Warn("upstream is not well", "upstream", t.address, "error", err)
		return
	}
	t.badUntil.Store(0)
	t.config.Logger.Info("upstream is well again", "upstream", t.address)
}

// ask asks once; nil is a good answer.
func (t *target) ask(ctx context.Context, h Health) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.scheme+"://"+t.host+h.Path, nil)
	if err != nil {
		return err
	}
	response, err := t.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	_ = response.Body.Close() // only the status counts
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: status %d", h.Path, response.StatusCode)
	}
	return nil
}
