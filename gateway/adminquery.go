package gateway

import (
	"cmp"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"wsauth"
	"wsauth/store"
)

const (
	defaultPage = 100  // entries of an answer, where the request does not say
	maxPage     = 1000 // at most
	maxName     = 256  // bytes of the name of a user, session or token
)

// An adminQuery is what the query of a list says.
type adminQuery struct {
	user, session, token string // "" is any
	limit                int
	after                uint64 // the number of the last socket of the page before
}

// readQuery reads a query that may have the names beside limit and after: each once, none unknown. When it cannot, it answers with
// what is wrong, quoting nothing, and reports false.
func (a *admin) readQuery(w http.ResponseWriter, r *http.Request, names ...string) (adminQuery, bool) {
	q, fault := a.parseQuery(r.URL.RawQuery, names)
	if fault != "" {
		problemHandler(http.StatusBadRequest, "invalid_request", fault)(w, r)
	}
	return q, fault == ""
}

func (a *admin) parseQuery(raw string, names []string) (q adminQuery, fault string) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, "The query is not well-formed"
	}
	q.limit = defaultPage
	known := append([]string{"limit", "after"}, names...)
	for name, all := range values {
		if !slices.Contains(known, name) {
			return q, "The query has a name that is not known here; there are " + strings.Join(known, ", ")
		}
		if len(all) != 1 || all[0] == "" || len(all[0]) > maxName || !utf8.ValidString(all[0]) {
			return q, fmt.Sprintf("%s must be there once, with 1 to %d bytes", name, maxName)
		}
	}
	q.user, q.session, q.token = values.Get("user"), values.Get("session"), values.Get("token")
	if limit := values.Get("limit"); limit != "" {
		if q.limit, err = strconv.Atoi(limit); err != nil || q.limit < 1 || q.limit > maxPage {
			return q, fmt.Sprintf("limit must be a number from 1 to %d", maxPage)
		}
	}
	if after := values.Get("after"); after != "" {
		run, number, _ := strings.Cut(after, ".")
		q.after, err = strconv.ParseUint(number, 10, 64)
		switch {
		case err != nil:
			return q, "after must be the next of the page before"
		case run != a.gateway.run:
			return q, "after is from before the server was started anew; begin without it"
		}
	}
	return q, ""
}

// next is what the following page begins after.
func (a *admin) next(number uint64) string {
	return a.gateway.run + "." + strconv.FormatUint(number, 10)
}

// matching yields the open sockets that a query asks for, in the order in which they came, from where its page begins.
func (a *admin) matching(q adminQuery) iter.Seq[*wsauth.Socket] {
	var few []*wsauth.Socket
	switch guard := a.gateway.guard; {
	case q.token != "":
		few = guard.Concerned(store.Revocation{Scope: store.Token, ID: q.token})
	case q.session != "":
		few = guard.Concerned(store.Revocation{Scope: store.Session, ID: q.session})
	case q.user != "":
		few = guard.Sessions(q.user)
	default:
		return guard.All(q.after)
	}
	// A socket whose client was known late stands late among those of its user.
	slices.SortFunc(few, func(a, b *wsauth.Socket) int { return cmp.Compare(a.Number(), b.Number()) })
	return func(yield func(*wsauth.Socket) bool) {
		for _, s := range few {
			c := s.Claims()
			wanted := s.Number() > q.after && (q.session == "" || c.SessionID == q.session) && (q.user == "" || c.HasSubject(q.user))
			if wanted && !yield(s) {
				return
			}
		}
	}
}
