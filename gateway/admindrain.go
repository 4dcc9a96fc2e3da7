package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
)

// drain answers POST /v1/drain at once. If the gateway is draining already,
// the new request changes nothing.
func (a *admin) drain(w http.ResponseWriter, r *http.Request) {
	var order adminapi.Drain
	if !readJSON(w, r, &order) {
		return
	}
	within := a.gateway.drain
	if order.Within != nil {
		if *order.Within < 1 || *order.Within > int64(maxDrain/time.Second) {
			telemetry.Problem(http.StatusUnprocessableEntity, "invalid_request", fmt.Sprintf("within is a number of seconds, from 1 to %d", maxDrain/time.Second))(w, r)
			return
		}
		within = time.Duration(*order.Within) * time.Second
	}
	answer := adminapi.Draining{Within: int64(within / time.Second), Sockets: a.gateway.guard.Stats().Sockets}
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
