package gateway

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
)

// session answers GET /auth/session with the claims of the access token, as
// rules and upstreams see them.
func (g *Gateway) session(w http.ResponseWriter, r *http.Request) {
	claims, err := g.guard.Check(r, wsauth.Access)
	if err != nil {
		g.guard.Refuse(w, r, err)
		return
	}
	writeJSON(w, jsontext.Value(claims.Payload()))
}
