package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// index matches indexes, which are not part of a key's name in the
// documentation.
var index = regexp.MustCompile(`\[\d+\]`)

// allKeys returns the keys of a type, each with its path.
func allKeys(t reflect.Type, prefix string) (keys []string) {
	switch {
	case t == reflect.TypeFor[Extractor]():
		for kind, options := range extractorKinds {
			keys = append(keys, prefix+"."+kind)
			keys = append(keys, allKeys(reflect.TypeOf(options()).Elem(), prefix+"."+kind)...)
		}
	case t.Kind() == reflect.Slice:
		keys = allKeys(t.Elem(), prefix+"[]")
	case t.Kind() == reflect.Struct:
		for f := range t.Fields() {
			name := strings.TrimPrefix(prefix+"."+f.Tag.Get("yaml"), ".")
			keys = append(append(keys, name), allKeys(f.Type, name)...)
		}
	}
	return keys
}

// TestExampleHasTheDefaults checks that the example sets the defaults.
func TestExampleHasTheDefaults(t *testing.T) {
	d := Parse("example.yaml", []byte(Example()))
	if _, err := (&Maker{}).Make(d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), d.Settings); diff != "" {
		t.Errorf("(- default, + example):\n%s", diff)
	}
}

// settingOff matches a line of the example with a commented setting.
var settingOff = regexp.MustCompile(`(?m)^#( *(?:- )?[a-z_]+:| +- | +#)`)

// wholeExample returns the example with all commented settings enabled.
func wholeExample(t *testing.T) string {
	t.Helper()
	text := settingOff.ReplaceAllString(Example(), "$1")
	for _, name := range []string{"server.crt", "server.key", "users.txt", "upstream-ca.pem", "admin.token", "cluster.secret", "store.url"} {
		if !strings.Contains(text, ": "+name) {
			t.Fatalf("the example names no %s", name)
		}
	}
	return text
}

// TestExampleHasEveryKey checks that with all commented settings enabled, the
// example has every key, and is valid except for keys that exclude each other.
func TestExampleHasEveryKey(t *testing.T) {
	d := Parse("example.yaml", []byte(wholeExample(t)))
	for _, f := range d.faults {
		t.Error(f)
	}
	found := map[string]bool{}
	for key := range d.lines {
		found[index.ReplaceAllString(key, "[]")] = true
	}
	for _, l := range d.Settings.Routes[0].Extractors {
		found["routes[].extractors[]."+l.Kind] = true
	}
	for i, l := range d.Settings.Routes[1].Extractors {
		found["routes[].extractors[]."+l.Kind] = true
		for _, key := range allKeys(reflect.TypeOf(l.Options).Elem(), "") {
			if d.lines["routes[1].extractors["+string(rune('0'+i))+"]."+l.Kind+"."+key] > 0 {
				found["routes[].extractors[]."+l.Kind+"."+key] = true
			}
		}
	}
	for _, key := range allKeys(reflect.TypeFor[Settings](), "") {
		if !found[key] {
			t.Errorf("the example has no %s", key)
		}
	}
}

// TestExampleRouteHasTheDefaults checks that the settings of the example's
// route are the defaults of a route.
func TestExampleRouteHasTheDefaults(t *testing.T) {
	shown := Parse("example.yaml", []byte(wholeExample(t))).Settings
	plain := Parse("plain.yaml", []byte("routes: [{path: /ws, upstream: 'http://127.0.0.1:9000'}]\n")).Settings.Routes[0]
	route := shown.Routes[0]
	// These have no default, or a default that cannot be written.
	route.Host, route.Upstreams, route.TLS.CA, route.TLS.ServerName, route.Health.Path, route.Origins, route.Assertion = "", nil, "", "", "", nil, ""
	route.Scopes, route.Claims, route.AppParameters = nil, nil, nil
	route.CORS.Origins, route.CORS.Headers = nil, nil
	if diff := cmp.Diff(plain, route); diff != "" {
		t.Errorf("(- default, + example):\n%s", diff)
	}
	for i, l := range shown.Routes[1].Extractors {
		want := extractorKinds[l.Kind]()
		switch o := l.Options.(type) {
		case *headerOptions:
			o.Scheme = "" // Bearer, unless there is no scheme
		case *cookieOptions:
			o.Domain = ""
		case *subprotocolOptions:
			continue
		}
		if diff := cmp.Diff(want, l.Options); diff != "" {
			t.Errorf("extractor %d (- default, + example):\n%s", i, diff)
		}
	}
}

// A docRow is a row of the page: a key and its default.
var docRow = regexp.MustCompile("(?m)^\\| `([a-z][^`]+)` \\|(.*?)\\| .+ \\|$")

// TestPageHasEveryKey checks that the page about the configuration has every
// key with its default, and no other key.
func TestPageHasEveryKey(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	var documented []string
	for _, row := range docRow.FindAllStringSubmatch(string(page), -1) {
		rows[row[1]] = strings.TrimSpace(row[2])
		documented = append(documented, row[1])
	}
	keys := allKeys(reflect.TypeFor[Settings](), "")
	slices.Sort(keys)
	slices.Sort(documented)
	if diff := cmp.Diff(keys, documented); diff != "" {
		t.Errorf("(- settings, + docs/configuration.md):\n%s", diff)
	}
	route := Parse("", []byte("routes: [{path: /, upstream: 'http://127.0.0.1:9000'}]")).Settings.Routes[0]
	compareDefaults(t, rows, "", reflect.ValueOf(Default()))
	compareDefaults(t, rows, "routes[].", reflect.ValueOf(route))
	for kind, options := range extractorKinds {
		compareDefaults(t, rows, "routes[].extractors[]."+kind+".", reflect.ValueOf(options()).Elem())
	}
}

// compareDefaults compares the documented defaults with values that are not
// zero.
func compareDefaults(t *testing.T, rows map[string]string, prefix string, v reflect.Value) {
	t.Helper()
	for f, value := range v.Fields() {
		key := prefix + f.Tag.Get("yaml")
		want := ""
		switch x := value.Interface().(type) {
		case string:
			want = x
		case time.Duration:
			want = x.String()
			if strings.HasSuffix(want, "m0s") {
				want = strings.TrimSuffix(want, "0s")
			}
			if strings.HasSuffix(want, "h0m") {
				want = strings.TrimSuffix(want, "0m")
			}
		case Size:
			want = x.String()
		case bool:
			want = map[bool]string{false: "false", true: "true"}[x]
		case int:
			want = strconv.Itoa(x)
		case []string:
			if len(x) > 0 {
				want = "[" + strings.Join(x, ", ") + "]"
			}
		default:
			if value.Kind() == reflect.Struct {
				compareDefaults(t, rows, key+".", value)
			}
			continue
		}
		if key == "routes[].path" || key == "routes[].upstream" || key == "routes[].limits.max_frame" {
			continue // required, or the same as another key
		}
		if want != "" && rows[key] != "`"+want+"`" {
			t.Errorf("%s: the documented default is %q, want %q", key, rows[key], want)
		}
	}
}
