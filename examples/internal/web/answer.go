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

// NoSocket reports whether err refuses the handshake itself, or the page that
// sent it: such a request is answered in HTTP. Any other refusal is told by
// message, see [Answer].
func NoSocket(err error) bool {
	return errors.Is(err, wsauth.OriginNotAllowed) || errors.Is(err, wsauth.InvalidHandshake) ||
		errors.Is(err, wsauth.MethodNotAllowed) || errors.Is(err, wsauth.VersionNotSupported)
}

// Answer opens the socket and tells the client by message what came of the
// check: its claims, or what is wrong, which the close code repeats.
func Answer(w http.ResponseWriter, r *http.Request, claims *token.Claims, checked error) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	if checked != nil {
		refusal, ok := errors.AsType[*wsauth.Error](checked)
		if !ok {
			refusal = &wsauth.Error{Reason: wsauth.InternalError, Message: wsauth.InternalError.Outcome().Text}
		}
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
