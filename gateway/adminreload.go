package gateway

import (
	"net/http"

	"wsauth/internal/problem"
)

// AdminReload asks the server to read its files anew.
type AdminReload struct {
	Confirm bool `json:"confirm,omitzero"` // carry out what waits for confirmation
}

// AdminReloaded says what has become of each file, in sentences that name it.
// What has a fault, or waits for confirmation, stays as it was.
type AdminReloaded struct {
	Changed     []string `json:"changed"`     // what was read and counts now
	Warnings    []string `json:"warnings"`    // such as keys that count after a restart
	Faults      []string `json:"faults"`      // all of them
	Unconfirmed []string `json:"unconfirmed"` // changes that need Confirm
}

// reload answers POST /v1/reload.
func (a *admin) reload(w http.ResponseWriter, r *http.Request) {
	var order AdminReload
	if !readJSON(w, r, &order) {
		return
	}
	if a.config.Reload == nil {
		problemHandler(http.StatusNotFound, "", "This server has no files to read anew")(w, r)
		return
	}
	a.gateway.log.Info("admin: reload", "confirm", order.Confirm, "via", via(r))
	answer, err := a.config.Reload(r.Context(), order)
	if err != nil {
		a.gateway.log.Error("admin: cannot reload", "err", err)
		problemHandler(http.StatusServiceUnavailable, "restarting", "The server is about to stop")(w, r)
		return
	}
	for _, list := range []*[]string{&answer.Changed, &answer.Warnings, &answer.Faults, &answer.Unconfirmed} {
		if *list == nil {
			*list = []string{} // an empty list, not null
		}
	}
	problem.WriteJSON(w, answer)
}
