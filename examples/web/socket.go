package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/token"
)

// Tokens returns an issuer and a verifier that use the secret "secret", as in
// the two original programs. Everyone knows this secret, so use
// token.GenerateKey in your own program.
func Tokens() (*token.Issuer, *token.Verifier, error) {
	key, err := token.NewKey(token.HS256, []byte("secret"), token.KeyOptions{InsecureWeakSecret: true})
	if err != nil {
		return nil, nil, err
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		return nil, nil, err
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		return nil, nil, err
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	return issuer, verifier, err
}

// ParseCheck returns the requirement for the value of the flag -check.
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

// Socket returns a handler for WebSocket handshakes. It responds with 404 to
// other requests, and with 403 if the query lacks the parameter. It calls
// Guard.Check, which does not write a response, so that the program can write
// its own.
func Socket(guard *wsauth.Guard, requirement wsauth.Requirement, parameter string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
			notFound(w)
			return
		case !r.URL.Query().Has(parameter):
			w.WriteHeader(http.StatusForbidden)
			return
		}
		claims, err := guard.Check(r, requirement)
		if isRefusedByHTTP(err) {
			guard.Refuse(w, r, err)
			return
		}
		answer(w, r, claims, err)
	}
}

// isRefusedByHTTP reports whether err concerns the handshake itself or the
// origin of the page. For any other error, the program opens the socket and
// sends the error as a message.
func isRefusedByHTTP(err error) bool {
	return errors.Is(err, wsauth.OriginNotAllowed) || errors.Is(err, wsauth.InvalidHandshake) ||
		errors.Is(err, wsauth.MethodNotAllowed) || errors.Is(err, wsauth.VersionNotSupported)
}

// answer opens the socket, sends the claims or the error as a message, and
// closes the socket.
func answer(w http.ResponseWriter, r *http.Request, claims *token.Claims, refusal error) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has responded
	}
	defer conn.CloseNow()
	if refusal != nil {
		known, ok := errors.AsType[*wsauth.Error](refusal)
		if !ok {
			known = &wsauth.Error{Reason: wsauth.InternalError, Message: wsauth.InternalError.Outcome().Text}
		}
		_ = conn.Write(r.Context(), websocket.MessageText, []byte(known.Message))
		_ = conn.Close(websocket.StatusCode(known.Reason.Outcome().Code), string(known.Reason))
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
