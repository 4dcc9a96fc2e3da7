package admin

import (
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"wsauth"
)

const (
	defaultPage = 100  // entries of a page, unless the request has a limit
	maxPage     = 1000 // the maximum limit
	maxName     = 256  // the maximum length of the name of a user, session or token, in bytes
)

// A query is the parsed query of a list.
type query struct {
	user, session, token string // "" matches all
	limit                int
	after                uint64 // the ID of the last socket on the page before
}

// readQuery parses the query of r, which may contain limit, after and names,
// each once. If the query is invalid, readQuery answers r without quoting it
// and returns false.
func (a *API) readQuery(w http.ResponseWriter, r *http.Request, names ...string) (query, bool) {
	q, fault := a.parseQuery(r.URL.RawQuery, names)
	if fault != "" {
		refuse(w, r, http.StatusBadRequest, "invalid_request", fault)
	}
	return q, fault == ""
}

func (a *API) parseQuery(raw string, names []string) (q query, fault string) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, "The query is malformed"
	}
	q.limit = defaultPage
	known := append([]string{"limit", "after"}, names...)
	for name, all := range values {
		if !slices.Contains(known, name) {
			return q, "The query has an unknown name; known are " + strings.Join(known, ", ")
		}
		if len(all) != 1 || all[0] == "" || len(all[0]) > maxName || !utf8.ValidString(all[0]) {
			return q, fmt.Sprintf("%s must occur once, with 1 to %d bytes", name, maxName)
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
		case run != a.run:
			return q, "after is from before a restart of the server; start without it"
		}
	}
	return q, ""
}

// next returns the value of "after" for the page that begins after the socket
// with this ID.
func (a *API) next(id uint64) string {
	return a.run + "." + strconv.FormatUint(id, 10)
}

// matching yields the open sockets that match q and come after q.after, in the
// order in which they were opened.
//
// If q has neither a session nor a token, its user must be the Subject of the
// claims. Otherwise, the user may also be their IssuerSubject.
func (a *API) matching(q query) iter.Seq[*wsauth.Socket] {
	f := wsauth.Filter{Token: q.token, Session: q.session, After: q.after}
	if q.session == "" && q.token == "" {
		f.All, f.Subject = q.user == "", q.user
		return a.config.Guard.Sockets(f)
	}
	return func(yield func(*wsauth.Socket) bool) {
		for socket := range a.config.Guard.Sockets(f) {
			if (q.user == "" || socket.Claims().HasSubject(q.user)) && !yield(socket) {
				return
			}
		}
	}
}
