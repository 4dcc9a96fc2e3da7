package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"wsauth/internal/problem"
)

// AdminDrain is the body of a request to end all sockets. Afterwards the
// gateway admits no new ones.
type AdminDrain struct {
	// Within is how long draining may take, in seconds, from 1 to 3600.
	// Sockets end one after another during at most half of it. Default:
	// Config.Drain.
	Within *int64 `json:"within,omitzero"`
}

// AdminDraining is the answer to [AdminDrain].
type AdminDraining struct {
	Within  int64 `json:"within"`  // seconds
	Sockets int   `json:"sockets"` // still open
}

// drain answers POST /v1/drain at once. If the gateway is draining already,
// the new request changes nothing.
func (a *admin) drain(w http.ResponseWriter, r *http.Request) {
	var order AdminDrain
	if !readJSON(w, r, &order) {
		return
	}
	within := a.gateway.drain
	if order.Within != nil {
		if *order.Within < 1 || *order.Within > int64(maxDrain/time.Second) {
			problemHandler(http.StatusUnprocessableEntity, "invalid_request", fmt.Sprintf("within is a number of seconds, from 1 to %d", maxDrain/time.Second))(w, r)
			return
		}
		within = time.Duration(*order.Within) * time.Second
	}
	answer := AdminDraining{Within: int64(within / time.Second), Sockets: a.gateway.guard.Stats().Sockets}
	if a.gateway.draining.CompareAndSwap(false, true) {
		a.gateway.log.Info("admin: draining", "within", within, "sockets", answer.Sockets, "via", via(r))
		// Shutdown waits for the sockets, so nothing else waits for this
		// goroutine.
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			_ = a.gateway.guard.Drain(ctx) // the sockets that are left were told to end
		}()
	}
	problem.WriteJSON(w, answer)
}
