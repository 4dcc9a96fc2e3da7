package admin

import (
	"context"
	"net/http"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/store"
)

// revoke answers POST /v1/revoke.
func (a *API) revoke(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := problem.Storing(r)
	defer cancel()
	order, ok := readRevoke(w, r, func() time.Time { return a.config.Sessions.Now(ctx) })
	if !ok {
		return
	}
	answer, err := a.carryOut(ctx, order)
	line := []any{"target", answer.Target}
	if answer.ID != "" {
		line = append(line, "id", logtext.Visible(answer.ID))
	}
	if answer.Before != "" {
		line = append(line, "before", answer.Before)
	}
	line = append(append(line, "sockets", answer.Sockets), origin(r)...)
	answer.Confirmed = err == nil
	if err = problem.Accepted(a.log, err, line...); err != nil {
		telemetry.AnswerProblem(w, r, problem.StoreFailure(a.log, "admin: cannot revoke", err, line...))
		return
	}
	a.log.Info("admin: revoked", line...)
	problem.WriteJSON(w, answer)
}

// carryOut applies order and returns the result.
func (a *API) carryOut(ctx context.Context, order store.Revocation) (answer adminapi.Revoked, err error) {
	answer = adminapi.Revoked{Target: order.Target.String(), ID: order.ID, Node: a.nodeID()}
	if !order.Before.IsZero() {
		// A store keeps times in milliseconds.
		answer.Before = order.Before.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	switch order.Target {
	case store.TargetSubject:
		var sessions int
		sessions, answer.Sockets, err = a.config.Sessions.EndUserBefore(ctx, order.ID, order.Before)
		answer.Sessions = &sessions
	case store.TargetAll:
		answer.Sockets, err = a.config.Sessions.EndAllBefore(ctx, order.Before)
	case store.TargetSession:
		answer.Sockets, err = a.config.Sessions.End(ctx, order.ID)
	default:
		answer.Sockets, err = a.config.Guard.Revoke(ctx, order)
	}
	return answer, err
}

// readRevoke reads the revocation that r asks for, without its Expires. If the
// body is invalid, readRevoke answers r and returns false.
func readRevoke(w http.ResponseWriter, r *http.Request, now func() time.Time) (store.Revocation, bool) {
	var order adminapi.Revoke
	if !readJSON(w, r, &order) {
		return store.Revocation{}, false
	}
	revocation, fault := revocationOf(order, now)
	if fault != "" {
		refuse(w, r, http.StatusUnprocessableEntity, "invalid_request", fault)
		return store.Revocation{}, false
	}
	return revocation, true
}

// revocationOf returns the revocation that o asks for. If o is invalid, fault
// says why. revocationOf calls now only if a time matters: it asks the store,
// and a token or a session is to be revoked at once even if that hangs.
func revocationOf(o adminapi.Revoke, now func() time.Time) (r store.Revocation, fault string) {
	targets := 0
	for _, named := range []struct {
		target store.Target
		id     *string
	}{{store.TargetToken, o.Token}, {store.TargetSession, o.Session}, {store.TargetSubject, o.User}} {
		if named.id == nil {
			continue
		}
		targets++
		if r.Target, r.ID = named.target, *named.id; r.ID == "" || len(r.ID) > maxName {
			return store.Revocation{}, "token, session and user are names of 1 to 256 bytes"
		}
	}
	if o.Everything != nil {
		targets++
		if r.Target = store.TargetAll; !*o.Everything {
			return store.Revocation{}, "everything must be true, or absent"
		}
	}
	if targets != 1 {
		return store.Revocation{}, "Exactly one of token, session, user and everything is needed"
	}
	dated := r.Target == store.TargetSubject || r.Target == store.TargetAll
	switch {
	case o.Before == nil && dated:
		r.Before = now()
	case o.Before != nil && !dated:
		return store.Revocation{}, "before goes with user and everything only: a token and a session are revoked altogether"
	case o.Before != nil:
		before, err := time.Parse(time.RFC3339, *o.Before)
		if err != nil || before.UnixMilli() <= 0 {
			return store.Revocation{}, "before must be a time of RFC 3339, such as 2026-01-31T12:00:00Z"
		}
		if before.After(now()) {
			return store.Revocation{}, "before is in the future: no user could log in until then"
		}
		r.Before = before
	}
	return r, ""
}
