package login

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
	deviceName = "login_device" // of the cookie, after "__Secure-" except on a developer's machine
	deviceLife = 90 * 24 * time.Hour

	maxDevices    = 4 // maximum number of names for which one browser is known
	maxDeviceKeys = 8 // maximum number of keys with which an entry is checked

	deviceExpiry = 8  // bytes
	deviceID     = 16 // bytes
	deviceMAC    = 16 // bytes, of HMAC-SHA256
)

// deviceCookie serves only to strip the cookie of a device from a request.
var deviceCookie = wsauth.Cookies{Access: wsauth.CookieSpec{Name: deviceName}}

var deviceText = base64.RawURLEncoding.Strict()

// The cookie of a device proves that someone has logged in on the device under
// a name before. It grants nothing but its own budget of failed logins, so that
// other clients cannot lock the user out; see [attempts]. The value has an
// entry for each of up to 4 names, joined by dots: expiry, a random ID, and a
// MAC of both and the name, with a key derived from the signing key of the
// service. Browsers send the cookie only to the login. An attacker who controls
// another host of the site can set such a cookie, but only with entries for
// names under which the attacker has logged in.

// devices identifies known devices by these cookies.
type devices struct {
	keys   Keys
	tokens wsauth.Cookies // the device cookie is Secure if these are
	path   string         // of the cookie
}

// macOf returns the MAC of an entry. key must be able to sign.
func macOf(key *token.Key, name string, entry []byte) []byte {
	secret := sha256.New()
	secret.Write([]byte("wsauth login device\x00"))
	secret.Write(key.JWK()) // has the private half: nobody else can compute a MAC
	mac := hmac.New(sha256.New, secret.Sum(nil))
	mac.Write(entry)
	mac.Write([]byte(name))
	return mac.Sum(nil)[:deviceMAC]
}

// verifyingKeys returns the keys with which device cookies are checked.
func (d *devices) verifyingKeys() (keys []*token.Key) {
	set, err := d.keys.KeySet(context.Background(), "")
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

// entries returns the entries in the device cookies of r. They have not been
// checked.
func (d *devices) entries(r *http.Request) (all []string) {
	for _, c := range r.CookiesNamed(d.cookieName(r)) {
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

func (d *devices) cookieName(r *http.Request) string {
	if d.tokens.IsSecure(r) {
		return "__Secure-" + deviceName // it has a path, so "__Host-" is not possible
	}
	return deviceName
}

// of returns the ID of the device of r if someone has logged in on it under the
// name before, or "".
func (d *devices) of(r *http.Request, name string, now time.Time) string {
	id, _ := d.find(d.entries(r), name, now)
	return id
}

// find returns the ID of the device that has an entry for a name, and the index
// of that entry, or -1.
func (d *devices) find(entries []string, name string, now time.Time) (id string, at int) {
	if len(entries) == 0 {
		return "", -1
	}
	keys := d.verifyingKeys()
	for i, text := range entries {
		entry, err := deviceText.DecodeString(text)
		if err != nil {
			continue
		}
		expires := time.Unix(int64(binary.BigEndian.Uint64(entry)), 0) //nolint:gosec // a value that overflows has no valid MAC
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

// set sets the cookie after a login. The device keeps its ID if it has one for
// the name.
func (d *devices) set(w http.ResponseWriter, r *http.Request, name string, now time.Time) {
	key, err := d.keys.SigningKey()
	if err != nil {
		return // the login has failed already
	}
	entries := d.entries(r)
	entry := binary.BigEndian.AppendUint64(nil, uint64(now.Add(deviceLife).Unix())) //nolint:gosec // after 1970
	if id, at := d.find(entries, name, now); at >= 0 {
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
		Name: d.cookieName(r), Value: strings.Join(entries[:min(len(entries), maxDevices)], "."), Path: d.path,
		MaxAge: int(deviceLife / time.Second), HttpOnly: true, Secure: d.tokens.IsSecure(r), SameSite: http.SameSiteLaxMode,
	})
}
