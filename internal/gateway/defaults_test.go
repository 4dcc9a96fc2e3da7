package gateway

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/token"
)

// eachNumber calls f with each number in v and the path of its fields.
func eachNumber(v reflect.Value, fieldPath string, f func(v reflect.Value, fieldPath string)) {
	switch {
	case v.CanInt():
		f(v, fieldPath)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				eachNumber(v.Field(i), fieldPath+"."+field.Name, f)
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			eachNumber(v.Index(i), fmt.Sprintf("%s[%d]", fieldPath, i), f)
		}
	}
}

// TestCompletingTwiceChangesNothing checks that completing a configuration a
// second time, as [New] and [Gateway.Update] do, changes nothing. It tries
// negative values, zero and positive values for each number.
func TestCompletingTwiceChangesNothing(t *testing.T) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	keys := must(token.NewKeySet(key))
	fresh := func() Config {
		return Config{Tokens: tokens.Config{Keys: keys}, Routes: []proxy.Route{{Path: "/", Upstreams: []string{"http://127.0.0.1:9000"}}}}
	}
	var fieldPaths []string
	c := fresh()
	eachNumber(reflect.ValueOf(&c).Elem(), "Config", func(_ reflect.Value, fieldPath string) { fieldPaths = append(fieldPaths, fieldPath) })
	if len(fieldPaths) < 15 {
		t.Fatalf("found only %d numbers: %q", len(fieldPaths), fieldPaths)
	}
	for _, fieldPath := range fieldPaths {
		for _, value := range []int64{-5, -1, 0, 1, int64(2 * time.Second), int64(90 * time.Minute)} {
			c := fresh()
			eachNumber(reflect.ValueOf(&c).Elem(), "Config", func(v reflect.Value, at string) {
				if at == fieldPath {
					v.SetInt(value)
				}
			})
			once, errOnce := c.Check()
			twice, errTwice := once.Check()
			if fmt.Sprintf("%+v", once) != fmt.Sprintf("%+v", twice) {
				t.Errorf("%s = %d: %+v, then %+v", fieldPath, value, once, twice)
			}
			if fmt.Sprint(errOnce) != fmt.Sprint(errTwice) {
				t.Errorf("%s = %d: %v, then %v", fieldPath, value, errOnce, errTwice)
			}
		}
	}
}

// TestNoLimitAtStart checks that limits can be switched off in the first
// configuration.
func TestNoLimitAtStart(t *testing.T) {
	r := serveBehind(t, newBackend(t), func(c *Config) {
		c.Limits.PerSubject, c.Login.RefreshGrace = -1, -1
		c.Routes[0].Limits = proxy.RouteLimits{MaxBody: -1, MaxFrame: -1, MaxMessage: -1, MaxFragments: -1, Idle: -1, Ping: -1, PerMinute: -1}
	})
	l := reflect.ValueOf(r.g.routes.States()[0].Route.Limits)
	for i := range l.NumField() {
		if l.Field(i).Int() > 0 {
			t.Errorf("Limits.%s = %d", l.Type().Field(i).Name, l.Field(i).Int())
		}
	}
	access, _ := r.Login()
	req, err := http.NewRequest("POST", r.URL+"/upload", strings.NewReader(strings.Repeat("x", 11<<20)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	resp, err := r.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a body of 11 MiB is answered with %s", resp.Status)
	}
}
