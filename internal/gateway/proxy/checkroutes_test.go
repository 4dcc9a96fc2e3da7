package proxy

import (
	"reflect"
	"strings"
	"testing"

	"wsauth"
)

// TestExtractorPointers checks that a pointer to an extractor is the same as
// the extractor.
func TestExtractorPointers(t *testing.T) {
	cookies := wsauth.Cookies{Access: wsauth.CookieSpec{CSRFHeader: "X-Mine"}}
	given := []wsauth.Extractor{&cookies, &wsauth.Ticket{}, wsauth.Header{}}
	route := Route{Path: "/", Upstreams: []string{"http://127.0.0.1:9"}, Extractors: given}
	routes, wrong := CheckRoutes([]Route{route}, OwnPaths{}, nil)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	got := routes[0]
	if want := []wsauth.Extractor{cookies, wsauth.Ticket{}, wsauth.Header{}}; !reflect.DeepEqual(got.Extractors, want) {
		t.Errorf("%#v, want %#v", got.Extractors, want)
	}
	if given[0] != wsauth.Extractor(&cookies) {
		t.Error("the caller's list has changed")
	}
	if !got.takesTickets() || takesLong(got.Extractors[0]) || !strings.Contains(strings.Join(credentialHeaders(got.Extractors), " "), "X-Mine") {
		t.Error("pointers to extractors are not recognized")
	}
	route.Extractors, route.AnyOrigin = given[:1], true
	if _, wrong = CheckRoutes([]Route{route}, OwnPaths{}, nil); len(wrong) != 1 || !strings.Contains(wrong[0].Err.Error(), "takes cookies") {
		t.Errorf("any origin with cookies: %v", wrong)
	}
	var missing *wsauth.Cookies
	route.Extractors, route.AnyOrigin = []wsauth.Extractor{missing, nil}, false
	if _, wrong = CheckRoutes([]Route{route}, OwnPaths{}, nil); len(wrong) != 2 {
		t.Errorf("nil: %v", wrong)
	}
}
