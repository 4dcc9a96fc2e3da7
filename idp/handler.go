package idp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/store"
	"wsauth/token"
)

const (
	maxBody       = 64 << 10 // bytes of a statement and the form around it
	revokeTimeout = 5 * time.Second
)

// A Guard revokes sessions, and reports whether a token is revoked.
// *wsauth.Guard implements it.
type Guard interface {
	Revoke(ctx context.Context, revocations ...store.Revocation) (sockets int, err error)
	Revoked(ctx context.Context, claims *token.Claims) (bool, error)
}

// Handler receives the messages that providers send when a session ends. It
// revokes the session, which closes its sockets. The endpoints need no
// protection beyond TLS: the messages are signed, and each is processed once.
//
// [Handler.Logout] and [Handler.Event] are the handlers of the two URLs to
// register at the provider.
type Handler struct {
	guard      Guard
	providers  map[string]*Provider // by the iss of logout tokens
	events     map[string]*Provider // by the iss of events
	log        *slog.Logger
	processing sync.Mutex // serializes checks for replays
}

// NewHandler returns a Handler that revokes sessions through guard. The
// providers must have different issuers and different namespaces. log may be
// nil.
func NewHandler(guard Guard, log *slog.Logger, providers ...*Provider) (*Handler, error) {
	h := &Handler{guard: guard, providers: map[string]*Provider{}, events: map[string]*Provider{}, log: log}
	if log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	for _, p := range providers {
		if p == nil || h.providers[p.issuer] != nil {
			return nil, errors.New("idp: NewHandler: a provider is nil or listed twice")
		}
		for _, other := range h.providers {
			if other.namespace == p.namespace {
				return nil, fmt.Errorf("idp: NewHandler: two providers have the namespace %q: each could end the sessions of the other", p.namespace)
			}
		}
		if h.events[p.eventIssuer] != nil {
			return nil, fmt.Errorf("idp: NewHandler: two providers have the event issuer %q", p.eventIssuer)
		}
		h.providers[p.issuer], h.events[p.eventIssuer] = p, p
	}
	return h, nil
}

// Logout handles the POST of a logout token (OpenID Connect Back-Channel Logout
// 1.0 section 2.5). It answers 200 if the sessions have ended, 400 if the token
// is refused or a replay, and 503 if the provider must send it again.
func (h *Handler) Logout(w http.ResponseWriter, r *http.Request) {
	body, ok := h.body(w, r, "application/x-www-form-urlencoded")
	if !ok {
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["logout_token"]) != 1 {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "logout_token is required, once"})
		return
	}
	switch err := h.process(r.Context(), form.Get("logout_token"), logoutTokens); {
	case err == nil:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
	case unavailable(err):
		answer(w, http.StatusServiceUnavailable, map[string]string{"error": "temporarily_unavailable", "error_description": "send it again"})
	default:
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "the logout token is not accepted"})
	}
}

// Event handles the push of a Security Event Token (RFC 8935 section 2). It
// answers 202 if the event was processed, ends nothing or is a replay, 400 with
// an error code of section 2.4 if it is refused, and 503 if the provider must
// send it again.
func (h *Handler) Event(w http.ResponseWriter, r *http.Request) {
	body, ok := h.body(w, r, "application/secevent+jwt")
	if !ok {
		return
	}
	switch err := h.process(r.Context(), string(body), eventTokens); {
	case err == nil, errors.Is(err, errReplay):
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusAccepted)
	case unavailable(err):
		answer(w, http.StatusServiceUnavailable, map[string]string{"err": "temporarily_unavailable", "description": "send it again"})
	default:
		answer(w, http.StatusBadRequest, map[string]string{"err": eventCode(err), "description": "the event is not accepted"})
	}
}

// eventCode returns the error code for a refusal (RFC 8935 section 2.4).
func eventCode(err error) string {
	switch {
	case errors.Is(err, token.ErrIssuer):
		return "invalid_issuer"
	case errors.Is(err, token.ErrAudience):
		return "invalid_audience"
	case errors.Is(err, token.ErrSignature), errors.Is(err, token.ErrAlgorithm):
		return "invalid_key"
	}
	return "invalid_request"
}

var (
	errReplay = errors.New("idp: this statement has been processed before")
	errStore  = errors.New("idp: cannot end the sessions now")
)

// unavailable reports whether err is a failure of this server or of fetching
// keys, not an error in the statement.
func unavailable(err error) bool {
	if errors.Is(err, errStore) {
		return true
	}
	_, refused := errors.AsType[*token.Error](err)
	return !refused && !errors.Is(err, errReplay) && !errors.Is(err, ErrNotLogout) && !errors.Is(err, ErrSubject)
}

// A statementKind describes how to verify one kind of statement.
type statementKind struct {
	providers func(*Handler) map[string]*Provider // by the iss of such statements
	verify    func(*Provider, context.Context, string) (Ending, error)
	unknown   string // detail of the error for an unknown iss
}

var (
	logoutTokens = statementKind{func(h *Handler) map[string]*Provider { return h.providers }, (*Provider).Logout, "iss is not one of the providers"}
	eventTokens  = statementKind{
		func(h *Handler) map[string]*Provider { return h.events }, (*Provider).Event,
		"iss is not one of the providers; if the iss of events differs from that of tokens, set event_issuer (RISC transmitters often add a slash)",
	}
)

// process verifies a statement by the rules of its issuer and ends the sessions
// that it names.
func (h *Handler) process(ctx context.Context, raw string, kind statementKind) error {
	issuer, err := token.UnverifiedIssuer(raw)
	provider := kind.providers(h)[issuer]
	if err == nil && provider == nil {
		err = &token.Error{Kind: token.ErrIssuer, Detail: kind.unknown}
	}
	if err != nil {
		h.log.Warn("statement refused", "error", err)
		return err
	}
	ending, err := kind.verify(provider, ctx, raw)
	if err == nil {
		err = h.checkNames(provider, ending)
	}
	if err == nil {
		err = h.end(ctx, ending)
	}
	if err != nil {
		h.log.Warn("statement refused", "issuer", issuer, "error", err)
	}
	return err
}

// checkNames refuses an ending from a provider without a namespace if it
// contains names in the namespace of another provider. It also checks the ID:
// otherwise the provider could make a statement of another provider look like a
// replay.
func (h *Handler) checkNames(p *Provider, e Ending) error {
	if p.namespace != "" {
		return nil
	}
	names := []string{e.ID}
	for _, r := range e.Revocations {
		names = append(names, r.ID)
	}
	for _, other := range h.providers {
		if other != p && slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, other.namespace+"|") }) {
			return fmt.Errorf("%w of its own: a name is in the namespace of another provider", ErrSubject)
		}
	}
	return nil
}

// end revokes the sessions. Then it revokes the ID of the statement, so that
// all nodes know that the statement has been processed. If the sessions were
// revoked only on this node, the ID is not revoked, and the provider sends the
// statement again.
func (h *Handler) end(ctx context.Context, e Ending) error {
	if len(e.Revocations) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	h.processing.Lock()
	defer h.processing.Unlock()
	// The hash bounds the length of the ID. With its prefix, the ID differs
	// from that of any token.
	sum := sha256.Sum256([]byte(e.ID))
	id := "statement:" + hex.EncodeToString(sum[:])
	// IssuedAt is later than the Before of any revocation of everything, so
	// only a revocation of this ID matches.
	isProcessed, err := h.guard.Revoked(ctx, &token.Claims{ID: id, IssuedAt: time.Now().Add(time.Hour)})
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errStore, err)
	case isProcessed:
		return errReplay
	}
	applied := store.Revocation{Target: store.TargetToken, ID: id, Expires: time.Now().Add(2 * maxStatementAge)}
	sockets, err := h.guard.Revoke(ctx, e.Revocations...)
	if err != nil && !errors.Is(err, store.ErrUnconfirmed) {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	if _, err := h.guard.Revoke(ctx, applied); !store.InEffect(err) {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	if e.doubtful && sockets == 0 {
		return fmt.Errorf("%w that access tokens name: it names only a session, and no access token with a session was seen", ErrSubject)
	}
	for _, r := range e.Revocations {
		h.log.Info("ended by its provider", "target", r.Target.String(), "id", r.ID, "sockets", sockets)
	}
	return nil
}

// body reads the body of a POST with the media type want. If it cannot, it
// answers r and reports false.
func (h *Handler) body(w http.ResponseWriter, r *http.Request, want string) ([]byte, bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "invalid_request"})
		return nil, false
	}
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		answer(w, http.StatusUnsupportedMediaType, map[string]string{"error": "invalid_request", "error_description": "the Content-Type is " + want})
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answer(w, http.StatusRequestEntityTooLarge, map[string]string{"error": "invalid_request", "error_description": "at most 64 KiB"})
		return nil, false
	}
	return body, true
}

func answer(w http.ResponseWriter, status int, members map[string]string) {
	data, err := json.Marshal(members, json.Deterministic(true))
	if err != nil {
		panic("idp: " + err.Error()) // fixed texts
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(data) // the provider may have disconnected
}
