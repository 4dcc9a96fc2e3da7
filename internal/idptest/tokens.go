package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"maps"
	"slices"
	"time"
)

// Sign signs a token with the provider's newest key. header is added to alg and
// kid, and claims to iss. A nil value removes a member.
func (p *Provider) Sign(header, claims map[string]any) string {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.keys) == 0 {
		p.t.Fatal("idptest: no key to sign with")
	}
	return p.keys[len(p.keys)-1].sign(header, with(map[string]any{"iss": p.issuer}, claims))
}

// SignWith is like Sign, but uses the key that has the given kid.
func (p *Provider) SignWith(kid string, header, claims map[string]any) string {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.keys, func(k *key) bool { return k.kid == kid })
	if i < 0 {
		p.t.Fatalf("idptest: no key %q", kid)
	}
	return p.keys[i].sign(header, with(map[string]any{"iss": p.issuer}, claims))
}

// AccessToken signs an access token of RFC 9068 for the audiences chat and
// account. changes apply to its claims, and to typ of its header. A nil value
// removes a member.
func (p *Provider) AccessToken(subject, session string, changes map[string]any) string {
	p.t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{
		"sub": subject, "sid": session, "aud": []string{"chat", "account"}, "client_id": "shop",
		"jti": "access-" + subject, "iat": now, "exp": now + 300, "typ": "at+jwt",
	}
	maps.Copy(claims, changes)
	header := map[string]any{"typ": claims["typ"]}
	delete(claims, "typ")
	return p.Sign(header, claims)
}

// LogoutToken signs a logout token of OpenID Connect for the audience chat.
func (p *Provider) LogoutToken(subject, session string) string {
	p.t.Helper()
	now := time.Now().Unix()
	return p.Sign(map[string]any{"typ": "logout+jwt"}, map[string]any{
		"sub": subject, "sid": session, "aud": "chat", "jti": "logout-" + session, "iat": now, "exp": now + 60,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
}

func (k *key) sign(header, claims map[string]any) string {
	base := map[string]any{"alg": k.alg}
	if k.kid != "" {
		base["kid"] = k.kid
	}
	signed := base64URL(encode(with(base, header))) + "." + base64URL(encode(claims))
	var (
		sum       = sha256.Sum256([]byte(signed))
		signature []byte
		err       error
	)
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, private, sum[:])
		if e != nil {
			panic(e)
		}
		signature = slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32)))
	case *rsa.PrivateKey:
		if k.alg == "PS256" {
			signature, err = rsa.SignPSS(rand.Reader, private, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			signature, err = rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
		}
	case ed25519.PrivateKey:
		signature = ed25519.Sign(private, []byte(signed))
	}
	if err != nil {
		panic(err)
	}
	return signed + "." + base64URL(signature)
}

// with sets members of base and returns it. A nil value removes a member.
func with(base, changes map[string]any) map[string]any {
	for name, v := range changes {
		if base[name] = v; v == nil {
			delete(base, name)
		}
	}
	return base
}
