// Package await calls functions that cannot be interrupted, such as reads from
// pipes and terminals, without making their callers wait for them.
package await

import "context"

// Do returns the results of f, or the error of ctx if that is done earlier. In
// that case f continues in the background, and its results are dropped.
func Do[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		value, err := f()
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
