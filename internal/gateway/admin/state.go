package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"wsauth"
	"wsauth/internal/adminapi"
	"wsauth/internal/problem"
)

// status answers GET /v1/status.
func (a *API) status(w http.ResponseWriter, r *http.Request) {
	if !noQuery(w, r) {
		return
	}
	stats := a.config.Guard.Stats()
	notReady := a.config.Guard.Ready()
	routes := a.config.Routes()
	slices.SortFunc(routes, func(a, b adminapi.Route) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path))
	})
	status := adminapi.Status{
		Version: a.config.Version,
		Started: a.started.Unix(),
		Uptime:  int64(time.Since(a.started) / time.Second),
		Ready:   notReady == nil,
		Open:    adminapi.Open{Sockets: stats.Sockets, Requests: stats.Requests, Sessions: stats.Sessions, Users: stats.Subjects},
		Routes:  routes,

		Degraded:    stats.Degraded,
		Revocations: adminapi.Revocations{Entries: stats.Log.Entries, Limit: stats.Log.Limit, Pending: stats.Held},
	}
	if refusal, ok := errors.AsType[*wsauth.Error](notReady); ok {
		status.Reason = string(refusal.Reason)
	}
	problem.WriteJSON(w, status)
}

// maxDrain is the maximum duration of a drain.
const maxDrain = time.Hour

// drain answers POST /v1/drain at once. If an operator has started a drain
// before, the new request changes nothing.
func (a *API) drain(w http.ResponseWriter, r *http.Request) {
	var order adminapi.Drain
	if !readJSON(w, r, &order) {
		return
	}
	within := a.config.Drain
	if order.Within != nil {
		if *order.Within < 1 || *order.Within > int64(maxDrain/time.Second) {
			refuse(w, r, http.StatusUnprocessableEntity, "invalid_request", fmt.Sprintf("within is a number of seconds, from 1 to %d", maxDrain/time.Second))
			return
		}
		within = time.Duration(*order.Within) * time.Second
	}
	answer := adminapi.Draining{Within: int64(within / time.Second), Sockets: a.config.Guard.Stats().Sockets}
	if a.draining.CompareAndSwap(false, true) {
		a.log.Info("admin: draining", append([]any{"within", within, "sockets", answer.Sockets}, origin(r)...)...)
		// Nothing waits for this goroutine, since Shutdown waits for the
		// sockets.
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			_ = a.config.Guard.Drain(ctx) // if it fails, the remaining sockets have been told to end
		}()
	}
	problem.WriteJSON(w, answer)
}

// reload answers POST /v1/reload.
func (a *API) reload(w http.ResponseWriter, r *http.Request) {
	var order adminapi.Reload
	if !readJSON(w, r, &order) {
		return
	}
	if a.config.Reload == nil {
		refuse(w, r, http.StatusNotFound, "", "This server has no files to reload")
		return
	}
	a.log.Info("admin: reload", append([]any{"confirm", order.Confirm}, origin(r)...)...)
	answer, err := a.config.Reload(r.Context(), order)
	if err != nil {
		a.log.Error("admin: cannot reload", "error", err)
		refuse(w, r, http.StatusServiceUnavailable, "restarting", "The server is about to stop")
		return
	}
	for _, list := range []*[]string{&answer.Changed, &answer.Warnings, &answer.Errors, &answer.Unconfirmed} {
		if *list == nil {
			*list = []string{} // an empty list, not null
		}
	}
	problem.WriteJSON(w, answer)
}
