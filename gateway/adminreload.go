package gateway

import (
	"net/http"

	"wsauth/internal/problem"
)

// AdminReload is the body of a request to read the server's files again.
type AdminReload struct {
	Confirm bool `json:"confirm,omitzero"` // apply the changes that need confirmation
}

// AdminReloaded reports the result for each file, in sentences that name it.
// Files with faults, and changes that need confirmation, are not applied.
type AdminReloaded struct {
	Changed     []string `json:"changed"`  // what was read and applied
	Warnings    []string `json:"warnings"` // such as keys that take effect after a restart
	Faults      []string `json:"faults"`
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
