package web

import (
	"errors"
	"net/http"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/token"
)

// ParseCheck turns the name of one of the four checks into a requirement.
func ParseCheck(name string) (wsauth.Requirement, error) {
	checks := map[string]wsauth.Requirement{
		"required": wsauth.Access, "optional": wsauth.Optional, "refresh": wsauth.Refresh, "fresh": wsauth.Fresh,
	}
	q, ok := checks[name]
	if !ok {
		return 0, errors.New("-check is required, optional, refresh or fresh, not " + name)
	}
	return q, nil
}

// Answer opens the socket and tells the client by message what came of the
// check: its claims, or what is wrong, which the close code repeats.
func Answer(w http.ResponseWriter, r *http.Request, claims *token.Claims, checked error) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	if refusal, ok := errors.AsType[*wsauth.Error](checked); ok {
		_ = conn.Write(r.Context(), websocket.MessageText, []byte(refusal.Message))
		_ = conn.Close(websocket.StatusCode(refusal.Reason.Outcome().Code), string(refusal.Reason))
		return
	}
	decoded := []byte("null")
	if claims != nil {
		decoded = claims.Payload()
	}
	_ = conn.Write(r.Context(), websocket.MessageText, []byte("Successfully Login!"))
	_ = conn.Write(r.Context(), websocket.MessageText, append([]byte("Here your decoded token: "), decoded...))
	_ = conn.Close(websocket.StatusNormalClosure, "")
}
