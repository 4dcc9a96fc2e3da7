package config

import (
	"cmp"
	"fmt"
	"reflect"
	"time"

	"wsauth/internal/gateway/proxy"
)

// CORS configures which pages of other origins may read the responses of a
// route. In a file, the word upstream may replace the mapping. Origins then
// contains only this word.
type CORS struct {
	Origins     CORSOrigins   `yaml:"origins"`
	Credentials bool          `yaml:"credentials"`
	Methods     []string      `yaml:"methods"`
	Headers     []string      `yaml:"headers"`
	Expose      []string      `yaml:"expose"`
	MaxAge      time.Duration `yaml:"max_age"`
}

// AuthCORS configures the same for the gateway's own endpoints.
type AuthCORS struct {
	Origins     CORSOrigins   `yaml:"origins"`
	Credentials bool          `yaml:"credentials"`
	MaxAge      time.Duration `yaml:"max_age"`
}

const (
	defaultCORSMaxAge = 10 * time.Minute

	// upstreamCORS delegates CORS to the upstream.
	upstreamCORS = "upstream"
)

// CORSOrigins is a list of origins, which may include null.
type CORSOrigins []string

func (o *CORSOrigins) read(d *decoder, key string, n *node) {
	*o = nil
	if n.kind != list {
		d.notA("a list, such as [a, b]", "[]", key, n)
		return
	}
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", key, i)
		d.lines[at] = item.line
		switch {
		case item.kind == none:
			d.fault(at, item.line, "has no value: it must be text; write the origin null in quotes")
		// YAML parses [http://localhost:5173], without quotes, as a mapping.
		case item.kind == mapping:
			d.fault(at, item.line, "must be text; found a mapping: write an origin with a port in quotes, such as 'http://localhost:5173'")
		case item.kind == text && item.text == upstreamCORS:
			d.fault(at, item.line, "upstream replaces the whole mapping: write cors: upstream")
		default:
			d.scalar(at, item, "text", func(s string) error {
				*o = append(*o, s)
				return nil
			}, text)
		}
	}
}

func (c *CORS) read(d *decoder, key string, n *node) {
	if n.kind == text && n.text == upstreamCORS {
		*c = CORS{Origins: CORSOrigins{upstreamCORS}}
		return
	}
	if n.kind != mapping {
		d.fault(key, n.line, "must be upstream, or a mapping, such as {origins: [https://app.example]}; found %s", n.kind)
		return
	}
	d.decodeStruct(key, n, reflect.ValueOf(c).Elem())
}

func (c *AuthCORS) read(d *decoder, key string, n *node) {
	if n.kind != mapping {
		d.fault(key, n.line, "must be a mapping, such as {origins: [https://app.example]}; found %s", n.kind)
		return
	}
	d.decodeStruct(key, n, reflect.ValueOf(c).Elem())
}

// cors returns the policy of a route, or nil if there is none.
func (b *build) cors(key string, c CORS) *proxy.CORS {
	b.checkOriginUserInfo(key+".origins", c.Origins)
	switch {
	case !b.Has(key):
		return nil
	case len(c.Origins) == 1 && c.Origins[0] == upstreamCORS:
		return &proxy.CORS{Upstream: true}
	}
	return &proxy.CORS{
		Origins: c.Origins, Credentials: c.Credentials, Methods: c.Methods, Headers: c.Headers, Expose: c.Expose,
		MaxAge: cmp.Or(c.MaxAge, -1),
	}
}

// authCORS returns the policy of the gateway's own endpoints.
func (b *build) authCORS() *proxy.CORS {
	c := b.Settings.Auth.CORS
	b.checkOriginUserInfo("auth.cors.origins", c.Origins)
	if !b.Has("auth.cors") {
		return nil
	}
	return &proxy.CORS{Origins: c.Origins, Credentials: c.Credentials, MaxAge: cmp.Or(c.MaxAge, -1)}
}
