package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/login"
	"wsauth/store"
)

// AdminRevoke asks for the end of tokens, sessions and sockets, at exactly one grain. The names are those of the claims: of users of
// an identity provider with its namespace and a bar in front.
type AdminRevoke struct {
	Token      *string `json:"token,omitzero"`      // a jti
	Session    *string `json:"session,omitzero"`    // a sid
	User       *string `json:"user,omitzero"`       // a sub: what that user began until Before
	Everything *bool   `json:"everything,omitzero"` // true: what anybody began until Before
	Before     *string `json:"before,omitzero"`     // of User and Everything: RFC 3339, not in the future. Default: now
}

// AdminRevoked says what was revoked, and is as durable as the store.
type AdminRevoked struct {
	Scope    string `json:"scope"`             // token, session, user or everything
	ID       string `json:"id,omitzero"`       // absent of everything
	Before   string `json:"before,omitzero"`   // of user and everything
	Sessions *int   `json:"sessions,omitzero"` // of user: the logins that ended
	Sockets  int    `json:"sockets"`           // that ended
}

// revoke answers POST /v1/revoke.
func (a *admin) revoke(w http.ResponseWriter, r *http.Request) {
	order, ok := readRevoke(w, r, time.Now())
	if !ok {
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	answer, err := a.carryOut(ctx, order)
	line := []any{"scope", answer.Scope}
	if answer.ID != "" {
		line = append(line, "id", visible(answer.ID))
	}
	if answer.Before != "" {
		line = append(line, "before", answer.Before)
	}
	line = append(line, "sockets", answer.Sockets, "via", via(r))
	if via(r) == "tcp" {
		line = append(line, "remote", logtext.Host(r.RemoteAddr))
	}
	if err != nil {
		a.failed(w, r, "admin: cannot revoke", err, line...)
		return
	}
	a.gateway.log.Info("admin: revoked", line...)
	problem.WriteJSON(w, answer)
}

// storeTimeout is how long one request may keep the store busy.
const storeTimeout = 5 * time.Second

// storing returns the context for what r changes in the store. It outlives a
// client that disconnects.
func storing(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
}

// failed answers a request that failed with err. After [store.ErrNotDurable],
// what was to end has ended on this node, and the answer says so. what failed
// and attrs are for the log.
func (a *admin) failed(w http.ResponseWriter, r *http.Request, what string, err error, attrs ...any) {
	log := a.gateway.log
	switch {
	case errors.Is(err, store.ErrNotDurable):
		log.Error("ended on this node only, and not written yet", append(attrs, "reason", "store_unavailable", "err", err)...)
		answerProblem(w, r, problem.NotDurable)
	case errors.Is(err, store.ErrInvalid):
		log.Warn(what, "reason", "invalid_request", "err", err)
		answerProblem(w, r, problem.Unstorable)
	default:
		log.Error(what, "reason", "store_unavailable", "err", err)
		answerProblem(w, r, problem.Unavailable)
	}
}

// carryOut revokes what order names, and returns what has ended.
func (a *admin) carryOut(ctx context.Context, order store.Revocation) (answer AdminRevoked, err error) {
	g := a.gateway
	answer = AdminRevoked{Scope: order.Scope.String(), ID: order.ID}
	if !order.Before.IsZero() {
		answer.Before = order.Before.UTC().Format("2006-01-02T15:04:05.000Z07:00") // as exact as a store is
	}
	switch order.Scope {
	case store.Subject:
		answer.Scope = "user"
		var sessions int
		sessions, answer.Sockets, err = g.login.EndUserBefore(ctx, order.ID, order.Before)
		answer.Sessions = &sessions
	case store.Everything:
		answer.Sockets, err = g.login.EndAllBefore(ctx, order.Before)
	case store.Session:
		answer.Sockets, err = g.login.End(ctx, order.ID)
	default:
		order.Expires = time.Now().Add(login.MaxTTL + time.Minute)
		answer.Sockets, err = g.guard.Revoke(ctx, order)
	}
	return answer, err
}

// readRevoke reads what is to be revoked; only Expires is not said yet. When it cannot, it answers with what is wrong, and reports
// false.
func readRevoke(w http.ResponseWriter, r *http.Request, now time.Time) (store.Revocation, bool) {
	var order AdminRevoke
	if !readJSON(w, r, &order) {
		return store.Revocation{}, false
	}
	revocation, fault := order.revocation(now)
	if fault != "" {
		problemHandler(http.StatusUnprocessableEntity, "invalid_request", fault)(w, r)
		return store.Revocation{}, false
	}
	return revocation, true
}

// revocation is what the order means; fault says why it means nothing.
func (o AdminRevoke) revocation(now time.Time) (r store.Revocation, fault string) {
	grains := 0
	for _, named := range []struct {
		scope store.Scope
		id    *string
	}{{store.Token, o.Token}, {store.Session, o.Session}, {store.Subject, o.User}} {
		if named.id == nil {
			continue
		}
		grains++
		if r.Scope, r.ID = named.scope, *named.id; r.ID == "" || len(r.ID) > maxName {
			return store.Revocation{}, "token, session and user are names of 1 to 256 bytes"
		}
	}
	if o.Everything != nil {
		grains++
		if r.Scope = store.Everything; !*o.Everything {
			return store.Revocation{}, "everything must be true, or absent"
		}
	}
	if grains != 1 {
		return store.Revocation{}, "Exactly one of token, session, user and everything is needed"
	}
	dated := r.Scope == store.Subject || r.Scope == store.Everything
	switch {
	case o.Before == nil && dated:
		r.Before = now
	case o.Before != nil && !dated:
		return store.Revocation{}, "before goes with user and everything only: a token and a session are revoked altogether"
	case o.Before != nil:
		before, err := time.Parse(time.RFC3339, *o.Before)
		if err != nil || before.UnixMilli() <= 0 {
			return store.Revocation{}, "before must be a moment of RFC 3339, such as 2026-01-31T12:00:00Z"
		}
		if before.After(now) {
			return store.Revocation{}, "before lies in the future: whoever logs in until then could not"
		}
		r.Before = before
	}
	return r, ""
}
