package gateway

import (
	"net/http"

	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
)

// reload answers POST /v1/reload.
func (a *admin) reload(w http.ResponseWriter, r *http.Request) {
	var order adminapi.Reload
	if !readJSON(w, r, &order) {
		return
	}
	if a.config.Reload == nil {
		telemetry.Problem(http.StatusNotFound, "", "This server has no files to reload")(w, r)
		return
	}
	a.gateway.log.Info("admin: reload", "confirm", order.Confirm, "via", via(r))
	answer, err := a.config.Reload(r.Context(), order)
	if err != nil {
		a.gateway.log.Error("admin: cannot reload", "error", err)
		telemetry.Problem(http.StatusServiceUnavailable, "restarting", "The server is about to stop")(w, r)
		return
	}
	for _, list := range []*[]string{&answer.Changed, &answer.Warnings, &answer.Errors, &answer.Unconfirmed} {
		if *list == nil {
			*list = []string{} // an empty list, not null
		}
	}
	problem.WriteJSON(w, answer)
}
