package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"wsauth"
	"wsauth/token"
)

const (
	deviceName = "login_device" // of the cookie, after "__Secure-" unless on a developer's machine
	deviceLife = 90 * 24 * time.Hour

	maxDevices    = 4 // names that one browser is known under
	maxDeviceKeys = 8 // keys that a device is checked with

	deviceExpiry = 8  // bytes
	deviceID     = 16 // bytes
	deviceMAC    = 16 // bytes, of HMAC-SHA256
)

// deviceCookie strips the cookie, as the cookies of a login are stripped.
var deviceCookie = &wsauth.Cookies{Access: deviceName}

var deviceText = base64.RawURLEncoding.Strict()

// The cookie of a device shows that somebody logged in with it under a name
// before. It opens nothing: it gives a budget of failed logins of its own, so
// that strangers cannot lock the user out; see [attempts]. The value holds an
// entry for each of up to 4 names, joined by dots: expiry, a random ID, and a
// MAC of both and the name under a key derived from the gateway's signing key.
// Browsers send it to the login alone. A neighbouring host of the site could
// plant one, but only one that it got for its own name.

// macOf returns the MAC of an entry. key must be able to sign.
func macOf(key *token.Key, name string, entry []byte) []byte {
	secret := sha256.New()
	secret.Write([]byte("wsauth login device\x00"))
	secret.Write(key.JWK()) // with its private half, so nobody else can make one
	mac := hmac.New(sha256.New, secret.Sum(nil))
	mac.Write(entry)
	mac.Write([]byte(name))
	return mac.Sum(nil)[:deviceMAC]
}

// deviceKeys returns the keys that devices are checked with.
func (g *Gateway) deviceKeys() (keys []*token.Key) {
	set, err := g.keys.KeySet(context.Background(), "")
	if err != nil {
		return nil
	}
	for _, key := range set.Keys() {
		if key.CanSign() && len(keys) < maxDeviceKeys {
			keys = append(keys, key)
		}
	}
	return keys
}

// entries returns what may be devices in the cookies of r.
func (g *Gateway) deviceEntries(r *http.Request) (all []string) {
	for _, c := range r.CookiesNamed(g.deviceCookieName(r)) {
		for entry := range strings.SplitSeq(c.Value, ".") {
			if len(entry) != deviceText.EncodedLen(deviceExpiry+deviceID+deviceMAC) {
				continue
			}
			if all = append(all, entry); len(all) == 2*maxDevices {
				return all
			}
		}
	}
	return all
}

func (g *Gateway) deviceCookieName(r *http.Request) string {
	if g.cookies.IsSecure(r) {
		return "__Secure-" + deviceName // it has a path, so "__Host-" is not possible
	}
	return deviceName
}

// deviceOf returns the ID of the device of r, if somebody logged in with it
// under the name before, or "".
func (g *Gateway) deviceOf(r *http.Request, name string, now time.Time) string {
	id, _ := g.findDevice(g.deviceEntries(r), name, now)
	return id
}

// findDevice also returns which of the entries it is, or -1.
func (g *Gateway) findDevice(entries []string, name string, now time.Time) (id string, at int) {
	if len(entries) == 0 {
		return "", -1
	}
	keys := g.deviceKeys()
	for i, text := range entries {
		entry, err := deviceText.DecodeString(text)
		if err != nil {
			continue
		}
		expires := time.Unix(int64(binary.BigEndian.Uint64(entry)), 0) //nolint:gosec // what overflows has no MAC
		if !now.Before(expires) || expires.Sub(now) > deviceLife {
			continue
		}
		signed, mac := entry[:deviceExpiry+deviceID], entry[deviceExpiry+deviceID:]
		for _, key := range keys {
			if hmac.Equal(mac, macOf(key, name, signed)) {
				return hex.EncodeToString(signed[deviceExpiry:]), i
			}
		}
	}
	return "", -1
}

// setDevice sets the cookie after a login: the device keeps its ID, if it has
// one for the name.
func (g *Gateway) setDevice(w http.ResponseWriter, r *http.Request, name string, now time.Time) {
	key, err := g.keys.SigningKey()
	if err != nil {
		return // the login has failed already
	}
	entries := g.deviceEntries(r)
	entry := binary.BigEndian.AppendUint64(nil, uint64(now.Add(deviceLife).Unix())) //nolint:gosec // after 1970
	if id, at := g.findDevice(entries, name, now); at >= 0 {
		raw, _ := hex.DecodeString(id) // it was encoded just now
		entry = append(entry, raw...)
		entries = append(entries[:at:at], entries[at+1:]...)
	} else {
		entry = append(entry, make([]byte, deviceID)...)
		_, _ = rand.Read(entry[deviceExpiry:]) // never fails
	}
	entry = append(entry, macOf(key, name, entry)...)
	entries = append([]string{deviceText.EncodeToString(entry)}, entries...)
	http.SetCookie(w, &http.Cookie{
		Name: g.deviceCookieName(r), Value: strings.Join(entries[:min(len(entries), maxDevices)], "."), Path: g.authPrefix + "/login", // for nothing else to see

		MaxAge: int(deviceLife / time.Second), HttpOnly: true, Secure: g.cookies.IsSecure(r), SameSite: http.SameSiteLaxMode,
	})
}
