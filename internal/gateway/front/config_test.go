package front

import (
	"strings"
	"testing"

	"wsauth/internal/forwarded"
	"wsauth/internal/gateway/fault"
)

// TestProxySettings checks that faults and warnings name their field.
func TestProxySettings(t *testing.T) {
	for name, tt := range map[string]struct {
		c                Config
		faults, warnings []string
	}{
		"nothing":               {Config{}, nil, nil},
		"good":                  {Config{TrustedProxies: []string{"10.0.0.0/8", "private", "unix", "2001:db8::1"}, ForwardedHost: true, ForwardedPort: true}, nil, nil},
		"all addresses":         {Config{TrustedProxies: []string{"0.0.0.0/0", "::/0"}}, nil, []string{"TrustedProxies[0]: 0.0.0.0/0 contains more", "TrustedProxies[1]: ::/0 contains"}},
		"half of all addresses": {Config{TrustedProxies: []string{"128.0.0.0/1"}}, nil, []string{"TrustedProxies[0]"}},
		"invalid networks":      {Config{TrustedProxies: []string{"10.0.0.1/8", "proxy.example", ""}}, []string{"TrustedProxies[0]", "TrustedProxies[1]", "TrustedProxies[2]"}, nil},
		"unknown source":        {Config{ForwardedSource: "x-real-ip"}, []string{"ForwardedSource"}, nil},
		"PROXY, no proxies":     {Config{ForwardedSource: forwarded.ProxyProtocol}, nil, []string{"ForwardedSource: without trusted proxies every connection is closed"}},
		"PROXY and host":        {Config{TrustedProxies: []string{"10.0.0.1"}, ForwardedSource: forwarded.ProxyProtocol, ForwardedHost: true, ForwardedPort: true}, []string{"ForwardedHost", "ForwardedPort"}, nil},
		"Forwarded, port":       {Config{TrustedProxies: []string{"10.0.0.1"}, ForwardedSource: forwarded.Forwarded, ForwardedPort: true}, []string{"ForwardedPort"}, nil},
		"unknown scheme":        {Config{TrustedProxies: []string{"10.0.0.1"}, ForwardedScheme: "wss"}, []string{"ForwardedScheme"}, nil},
		"scheme, no proxies":    {Config{ForwardedScheme: "https"}, nil, []string{"ForwardedScheme"}},
		"host, no proxies":      {Config{ForwardedSource: forwarded.Forwarded, ForwardedHost: true}, nil, []string{"ForwardedSource", "ForwardedHost"}},
		"port, no proxies":      {Config{ForwardedPort: true}, nil, []string{"ForwardedPort"}},
	} {
		c, wrong := tt.c.Check()
		for _, x := range []struct {
			got  fault.List
			want []string
		}{{wrong, tt.faults}, {c.Warnings(), tt.warnings}} {
			got := ""
			if err := x.got.Join(); err != nil {
				got = err.Error()
			}
			if len(x.want) == 0 && got != "" {
				t.Errorf("%s: got %s", name, got)
			}
			for _, want := range x.want {
				if !strings.Contains(got, "gateway: Config."+want) {
					t.Errorf("%s: no %q in %q", name, want, got)
				}
			}
		}
	}
}
