package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"wsauth/internal/problem"
)

// AdminDrain asks for the end of all sockets, after which the gateway lets no new one in.
type AdminDrain struct {
	Within *int64 `json:"within,omitzero"` // seconds, 1 to 3600: for half of it, or less, sockets end one after the other. Default: Config.Drain
}

// AdminDraining says what is going on.
type AdminDraining struct {
	Within  int64 `json:"within"`  // seconds
	Sockets int   `json:"sockets"` // that are open yet
}

// drain answers POST /v1/drain, at once. A gateway that drains already goes on as it was told first.
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
	answer := AdminDraining{Within: int64(within / time.Second), Sockets: a.gateway.guard.Counts().Sockets}
	if a.gateway.draining.CompareAndSwap(false, true) {
		a.gateway.log.Info("admin: draining", "within", within, "sockets", answer.Sockets, "via", via(r))
		go func() { // it has no end to wait for but that of the sockets, which Shutdown waits for
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			_ = a.gateway.guard.Drain(ctx) // what is left then was told to end
		}()
	}
	problem.WriteJSON(w, answer)
}
