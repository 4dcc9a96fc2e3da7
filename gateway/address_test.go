package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReaches(t *testing.T) {
	for listen, c := range map[string]struct{ same, other []string }{
		"127.0.0.1:80":     {[]string{"http://127.0.0.1", "http://localhost", "http://0.0.0.0:80", "http://[::]", "http://[::ffff:7f00:1]"}, []string{"https://127.0.0.1", "http://127.0.0.2", "http://[::1]", "http://10.0.0.1", "http://a.example"}},
		"[::1]:443":        {[]string{"https://[::1]", "https://localhost", "https://[0:0::1]:443", "http://0.0.0.0:443"}, []string{"https://127.0.0.1", "http://[::1]"}},
		"localhost:1":      {[]string{"http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "http://app.localhost:1"}, []string{"http://localhost:2", "unix:/localhost:1"}},
		":1":               {[]string{"http://localhost:1", "http://127.0.0.1:1", "http://127.8.8.8:1", "http://[::1]:1", "http://0.0.0.0:1"}, []string{"http://a.example:1", "http://10.0.0.1:1"}},
		"0.0.0.0:1":        {[]string{"http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "http://[::]:1"}, []string{"http://a.example:1"}},
		"[::]:http":        {[]string{"http://localhost", "http://127.0.0.1:80"}, []string{"http://localhost:81"}},
		"10.0.0.1:1":       {[]string{"http://10.0.0.1:1", "http://[::ffff:10.0.0.1]:1"}, []string{"http://127.0.0.1:1", "http://localhost:1", "http://0.0.0.0:1"}},
		"app.example:1":    {[]string{"http://app.example:1", "http://APP.example.:1"}, []string{"http://b.example:1", "http://localhost:1"}},
		"127.0.0.1:0":      {nil, []string{"http://127.0.0.1:0", "http://127.0.0.1"}},
		"/run/admin.sock":  {[]string{"unix:/run/admin.sock", "unix:/run//admin.sock"}, []string{"unix:/run/a.sock", "http://run/admin.sock"}},
		"nonsense":         {nil, []string{"http://nonsense", "unix:/nonsense", "::"}},
		"[::1%25lo]:1":     {nil, []string{"http://[::1]:1"}},
		"127.0.0.1:999999": {nil, []string{"http://127.0.0.1:999999"}},
	} {
		for _, upstream := range c.same {
			if !Reaches(upstream, listen) {
				t.Errorf("%s is not taken for %s", upstream, listen)
			}
		}
		for _, upstream := range c.other {
			if Reaches(upstream, listen) {
				t.Errorf("%s is taken for %s", upstream, listen)
			}
		}
	}
}

// TestReachesThroughLinks: a socket is the same one by every path, also before
// it is there.
func TestReachesThroughLinks(t *testing.T) {
	folder := t.TempDir()
	real, linked := filepath.Join(folder, "run"), filepath.Join(folder, "var-run")
	if err := errors.Join(os.Mkdir(real, 0o700), os.Symlink(real, linked), os.Symlink("admin.sock", filepath.Join(real, "app.sock"))); err != nil {
		t.Fatal(err)
	}
	for _, made := range []bool{false, true} {
		if made {
			if err := os.WriteFile(filepath.Join(real, "admin.sock"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, pair := range [][2]string{{real, linked}, {linked, real}} {
			if !Reaches("unix:"+filepath.Join(pair[0], "admin.sock"), filepath.Join(pair[1], "admin.sock")) {
				t.Errorf("%s is not taken for %s", pair[0], pair[1])
			}
		}
		if Reaches("unix:"+filepath.Join(real, "other.sock"), filepath.Join(linked, "admin.sock")) {
			t.Error("another socket is taken for it")
		}
		if Reaches("unix:"+filepath.Join(real, "app.sock"), filepath.Join(linked, "admin.sock")) != made {
			t.Error("a link to the socket itself")
		}
	}
}

// TestCheckASCII: a host that is not ASCII is refused, with the name that
// clients send for it.
func TestCheckASCII(t *testing.T) {
	for host, want := range map[string]string{
		"*.münchen.example": "*.xn--mnchen-3ya.example",
		"MÜNCHEN.example":   "xn--mnchen-3ya.example",
		"пример.испытание":  "xn--e1afmkfd.xn--80akhbyknj4f",
		"例え.テスト":            "xn--r8jz45g.xn--zckzah",
		"faß.example":       "xn--fa-hia.example",
		"a\u202eb.example":  "not a host name",
	} {
		if err := checkASCII(host); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", host, err, want)
		}
	}
	for _, host := range []string{"", "app.example", "a-.example", "*.app.example"} {
		if err := checkASCII(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}
