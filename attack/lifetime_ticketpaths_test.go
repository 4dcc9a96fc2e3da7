package attack

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/urlpath"
	"wsauth/token"
)

type pathVector struct{ Path, Canonical string }

// pathVectors returns the path vectors that the tests of the browser module
// also use.
func pathVectors(t testing.TB) (all []pathVector) {
	t.Helper()
	text, err := os.ReadFile("../internal/urlpath/testdata/paths.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// handshakeAt returns a page's handshake for a path. It escapes spaces and
// control characters, which are not allowed in a request line.
func handshakeAt(t testing.TB, path, ticket string) *http.Request {
	t.Helper()
	path = strings.NewReplacer(" ", "%20", "\n", "%0A", "\t", "%09", "\x7f", "%7F").Replace(path)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(byTicket(path, ticket) + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTicketPaths checks that a ticket opens its path, however the path is
// spelled, and no other path. An escaped slash is not a slash.
func TestTicketPaths(t *testing.T) {
	g, err := wsauth.New(ticketConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	alice := issue(t, token.TypeAccess, "alice", token.Options{}).Claims
	opens := func(path, at string) bool {
		t.Helper()
		_, err := g.Check(handshakeAt(t, at, ticket(t, g, alice, path)), wsauth.Access)
		if err != nil && !errors.Is(err, wsauth.TokenInvalid) {
			t.Errorf("%q at %q: %v", path, at, err)
		}
		return err == nil
	}
	vectors := pathVectors(t)
	for i, v := range vectors {
		if !opens(v.Path, v.Canonical) {
			t.Errorf("%q does not open %q", v.Path, v.Canonical)
		}
		// Some paths cannot be requested. net/http refuses a percent sign that
		// does not begin an escape, and browsers resolve dot segments.
		if _, err := url.PathUnescape(v.Path); err == nil && !urlpath.HasDots(v.Path) && !opens(v.Canonical, v.Path) {
			t.Errorf("%q does not open %q", v.Canonical, v.Path)
		}
		if other := vectors[(i+1)%len(vectors)]; v.Canonical != other.Canonical && opens(v.Path, other.Canonical) {
			t.Errorf("%q opens %q", v.Path, other.Canonical)
		}
	}
	for _, c := range [][2]string{
		{"/a/b", "/a%2Fb"}, {"/a%2Fb", "/a/b"}, {"/a%2Fb|c", "/a/b|c"}, {"/a/b|c", "/a%2Fb|c"}, {"/a/b日", "/a%2fb日"},
		{"/a;b", "/a%3Bb"}, {"/a:b", "/a%3Ab"}, {"/a", "/a/"}, {"/a", "/A"}, {"/a/b", "/a//b"}, {"/%41", "/%2541"}, {"/%2541", "/A"},
		{"/b", "/a/../b"}, {"/b", "/./b"}, {"/b", "/%2e/b"}, {"/a/../b", "/a/../b"},
	} {
		if opens(c[0], c[1]) {
			t.Errorf("%q opens %q", c[0], c[1])
		}
	}
}

// TestTicketPathLength checks the limit of the length of a ticket's path. The
// length of an escape is one byte.
func TestTicketPathLength(t *testing.T) {
	g, err := wsauth.New(ticketConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	alice := issue(t, token.TypeAccess, "alice", token.Options{}).Claims
	for _, part := range []string{"a", "|", "%7C", "%e6", "日"} {
		n := len(part)
		if part[0] == '%' {
			n = 1
		}
		longest := "/" + strings.Repeat(part, 2047/n)
		if _, err := g.Check(handshakeAt(t, longest, ticket(t, g, alice, longest)), wsauth.Access); err != nil {
			t.Errorf("the longest path of %q: %v", part, err)
		}
		_, err := g.IssueTicket(t.Context(), alice, wsauth.TicketFor{Path: longest + part})
		if !errors.Is(err, wsauth.InvalidRequest) {
			t.Errorf("%q: a ticket for a path that is too long: %v", part, err)
		}
	}
}
