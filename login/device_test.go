package login

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wsauth/token"
)

// devices returns a devices with the keys of the service.
func (r *rig) devices() *devices { return &devices{keys: r.keys, path: "/auth/login"} }

// loginFrom logs in from an address, and returns the status and the device
// cookie.
func (r *rig) loginFrom(addr, name, password string, devices ...*http.Cookie) (int, *http.Cookie) {
	r.T.Helper()
	req := httptest.NewRequest(http.MethodPost, "http://app.example/auth/login", strings.NewReader(fmt.Sprintf(`{"username":%q,"password":%q}`, name, password)))
	req.RemoteAddr = addr
	req.Header.Set("Content-Type", "application/json")
	for _, c := range devices {
		req.AddCookie(c)
	}
	w := httptest.NewRecorder()
	r.s.ServeHTTP(w, req)
	for _, c := range w.Result().Cookies() {
		if strings.HasSuffix(c.Name, deviceName) {
			return w.Code, c
		}
	}
	return w.Code, nil
}

// lockOut lets unknown clients fail until no new client can log in under the
// name.
func (r *rig) lockOut(name string) {
	for i := range 12 {
		for range 10 {
			r.loginFrom(fmt.Sprintf("[2001:db8:%x::1]:80", i), name, "wrong")
		}
	}
	if code, _ := r.loginFrom("198.51.100.77:80", name, "test"); code != http.StatusTooManyRequests {
		r.T.Fatalf("a new address gets %d under attack, want 429", code)
	}
}

// TestDeviceKeys checks that an entry is valid for one key and one name.
func TestDeviceKeys(t *testing.T) {
	key, other := must(token.GenerateKey(token.HS256)), must(token.GenerateKey(token.HS256))
	entry := make([]byte, deviceExpiry+deviceID)
	seen := map[string]string{}
	for name, mac := range map[string][]byte{
		"as it is":      macOf(key, "anna", entry),
		"another key":   macOf(other, "anna", entry),
		"another name":  macOf(key, "bert", entry),
		"another entry": macOf(key, "anna", append([]byte{1}, entry[1:]...)),
	} {
		if before, found := seen[string(mac)]; found || len(mac) != deviceMAC {
			t.Errorf("%s has the MAC of %q: %x", name, before, mac)
		}
		seen[string(mac)] = name
	}
	if again := macOf(key, "anna", entry); seen[string(again)] != "as it is" {
		t.Errorf("made again: %x", again)
	}
}

// TestDeviceIsNotLockedOut checks that the cookie of a login gives its device
// 10 attempts at its own name, whatever other clients do.
func TestDeviceIsNotLockedOut(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		code, device := r.loginFrom("192.0.2.1:80", "anna", "test")
		if code != http.StatusOK || device == nil {
			t.Fatal(code, device)
		}
		if device.Name != "__Secure-login_device" || !device.HttpOnly || !device.Secure || device.Path != "/auth/login" || device.Domain != "" ||
			device.SameSite != http.SameSiteLaxMode || device.MaxAge != int(deviceLife/time.Second) {
			t.Errorf("cookie %v", device)
		}
		if code, none := r.loginFrom("192.0.2.2:80", "bert", "wrong", device); code != http.StatusUnauthorized || none != nil {
			t.Errorf("a login that failed is %d and sets %v", code, none)
		}
		r.lockOut("anna")
		r.lockOut("bert")
		code, again := r.loginFrom("203.0.113.9:80", "anna", "test", device)
		if code != http.StatusOK || again == nil {
			t.Fatalf("the device from elsewhere: %d", code)
		}
		if code, _ := r.loginFrom("192.0.2.1:80", "anna", "test"); code != http.StatusOK {
			t.Errorf("the network that logged in before: %d", code)
		}
		if code, _ := r.loginFrom("203.0.113.9:80", "bert", "test", device); code != http.StatusTooManyRequests {
			t.Errorf("anna's device as bert: %d, want 429", code)
		}
		// It is the same device after another login, and so has one budget.
		for i := range 12 {
			code, _ := r.loginFrom(fmt.Sprintf("203.0.113.%d:80", 100+i), "anna", "wrong", []*http.Cookie{device, again}[i%2])
			if want := map[bool]int{true: http.StatusUnauthorized, false: http.StatusTooManyRequests}[i < 10]; code != want {
				t.Errorf("wrong password %d with a stolen cookie: %d, want %d", i+1, code, want)
			}
		}
		// A forged or old value is not accepted.
		for name, change := range map[string]func(string) string{
			"empty":     func(string) string { return "" },
			"one bit":   func(v string) string { return v[:20] + string(v[20]^1) + v[21:] },
			"another":   func(v string) string { return strings.Repeat("A", len(v)) },
			"cut":       func(v string) string { return v[:len(v)-1] },
			"many dots": func(v string) string { return strings.Repeat(".", 1000) + v[:10] },
		} {
			forged := *device
			forged.Value = change(device.Value)
			if code, _ := r.loginFrom("203.0.113.200:80", "anna", "test", &forged); code != http.StatusTooManyRequests {
				t.Errorf("%s: %d, want 429", name, code)
			}
		}
		req := httptest.NewRequest(http.MethodPost, "http://app.example/", nil)
		req.AddCookie(device)
		for after, want := range map[time.Duration]bool{0: true, deviceLife - 2*time.Second: true, deviceLife: false, -time.Hour: false} {
			if id := r.devices().of(req, "anna", time.Now().Add(after)); (id != "") != want {
				t.Errorf("after %v the device is %q", after, id)
			}
		}
	}, func(c *setup) { c.Users = anyone })
}

// TestDeviceOfSeveralNames checks that a browser keeps the last four names,
// each with its ID.
func TestDeviceOfSeveralNames(t *testing.T) {
	r := start(t, func(c *setup) { c.Users = anyone })
	var device *http.Cookie
	of := func(name string) string {
		req := httptest.NewRequest(http.MethodPost, "http://app.example/", nil)
		req.AddCookie(device)
		return r.devices().of(req, name, time.Now())
	}
	ids := map[string]string{}
	for i := range 5 {
		var known []*http.Cookie
		if device != nil {
			known = append(known, device)
		}
		name := fmt.Sprint("user", i)
		if _, device = r.loginFrom("192.0.2.1:80", name, "test", known...); device == nil {
			t.Fatal("no cookie")
		}
		ids[name] = of(name)
	}
	if _, device = r.loginFrom("192.0.2.1:80", "user2", "test", device); device == nil {
		t.Fatal("no cookie")
	}
	for name, want := range map[string]string{"user0": "", "user1": ids["user1"], "user2": ids["user2"], "user4": ids["user4"], "user9": ""} {
		if got := of(name); got != want || name != "user0" && name != "user9" && want == "" {
			t.Errorf("%s: device %q, want %q", name, got, want)
		}
	}
	if ids["user1"] == ids["user2"] {
		t.Error("two names have one device")
	}
}

// TestDeviceCookieIsSecure checks that the device cookie is Secure, except on a
// developer's machine without TLS.
func TestDeviceCookieIsSecure(t *testing.T) {
	req := httptest.NewRequest(http.MethodPost, "http://localhost:8000/", nil)
	if name := (&devices{}).cookieName(req); name != deviceName {
		t.Errorf("on this machine it is %s", name)
	}
	req.TLS = &tls.ConnectionState{}
	if name := (&devices{}).cookieName(req); name != "__Secure-"+deviceName {
		t.Errorf("over TLS it is %s", name)
	}
}

// FuzzDevice checks that no cookie value is a device of a name unless someone
// logged in under that name with it.
func FuzzDevice(f *testing.F) {
	d := &devices{keys: must(token.NewKeySet(must(token.GenerateKey(token.HS256)))), path: "/auth/login"}
	w := httptest.NewRecorder()
	d.set(w, httptest.NewRequest(http.MethodPost, "http://localhost/", nil), "anna", time.Now())
	good := w.Result().Cookies()[0].Value
	for _, seed := range []string{good, good + "." + good, "." + good, good[:10], "", "a.b", strings.ToLower(good)} {
		f.Add(seed, "anna")
		f.Add(seed, "bert")
	}
	f.Fuzz(func(t *testing.T, value, name string) {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/", nil)
		r.Header.Set("Cookie", deviceName+"="+value)
		id := d.of(r, name, time.Now())
		if id != "" && (name != "anna" || !strings.Contains(value, good)) {
			t.Errorf("%q is a device of %q", value, name)
		}
		w := httptest.NewRecorder()
		d.set(w, r, name, time.Now())
		made := w.Result().Cookies()[0]
		r.Header.Set("Cookie", made.String())
		if again := d.of(r, name, time.Now()); again == "" || id != "" && again != id {
			t.Errorf("%q of %q becomes %q, with the ID %q after %q", value, name, made.Value, again, id)
		}
	})
}
