package token

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewVerifierReportsEveryError(t *testing.T) {
	_, err := NewVerifier(VerifierConfig{
		Algorithms: []Algorithm{"none"},
		Issuer:     "a\n",
		Audience:   []string{""},
		Leeway:     61 * time.Second,

		IssuedLeeway: 61 * time.Second,
		MaxLifetime:  -1,
		MaxBytes:     limitMaxBytes + 1,
	})
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, field := range []string{"Keys", "Algorithms", "Issuer", "Audience", "Leeway", "IssuedLeeway", "MaxLifetime", "MaxBytes"} {
		found := false
		for _, line := range lines {
			found = found || strings.HasPrefix(line, field+": ")
		}
		if !found {
			t.Errorf("no error for %s in:\n%s", field, err)
		}
	}
	if len(lines) != 8 {
		t.Errorf("%d errors, want 8:\n%s", len(lines), err)
	}
	set := must(NewKeySet(testKey(ES256)))
	for want, c := range map[string]VerifierConfig{
		"Keys: required":                      {Keys: &KeySet{}},
		"Algorithms: no key is for any":       {Keys: set, Algorithms: []Algorithm{HS256}},
		`Algorithms: "es256" is unknown`:      {Keys: set, Algorithms: []Algorithm{ES256, "es256"}},
		"Leeway: -1ns is not from 0 to":       {Keys: set, Leeway: -1},
		"IssuedLeeway: -1ns is not from 0 to": {Keys: set, IssuedLeeway: -1},
		"MaxBytes: -1 is not from 0 to":       {Keys: set, MaxBytes: -1},
	} {
		if _, err := NewVerifier(c); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := NewVerifier(VerifierConfig{Keys: set}); err != nil {
		t.Error(err)
	}
}

// TestQ1_AlgorithmsNarrow checks that a key is not used if its algorithm is not
// allowed.
func TestQ1_AlgorithmsNarrow(t *testing.T) {
	es, rs := testKey(ES256), testKey(RS256)
	v := newVerifier(t, VerifierConfig{Algorithms: []Algorithm{ES256, PS256}}, es, rs)
	wantAccepted(t, v, mint(t, es, headerOf(ES256), valid("")))
	wantRefused(t, v, mint(t, rs, headerOf(RS256), valid("")), ErrAlgorithm)
	wantRefused(t, v, mint(t, testKey(PS256), headerOf(PS256), valid("")), ErrAlgorithm)
	// The same RSA key with the other padding.
	both := newVerifier(t, VerifierConfig{}, rs, es)
	wantRefused(t, both, mint(t, testKey(PS256), headerOf(PS256), valid("")), ErrAlgorithm)
}

func TestOrderOfChecks(t *testing.T) {
	key, other := testKey(HS256), must(GenerateKey(HS256))
	v := newVerifier(t, VerifierConfig{Issuer: "me", Audience: []string{"us"}}, key)
	now := time.Now().Unix()
	future, past := now+100, now-100
	for i, tt := range []struct {
		key     *Key
		header  string
		payload string
		want    error
	}{
		{other, "{", "{", ErrMalformed},
		{other, headerOf("none"), "{", ErrAlgorithm},
		{other, headerOf(HS256), fmt.Sprintf(`{"exp":%d}`, past), ErrSignature}, // expired and badly signed
		{key, headerOf(HS256), "{", ErrMalformed},
		{key, headerOf(HS256), fmt.Sprintf(`{"iat":%d,"nbf":%d,"exp":%d,"iss":"x","aud":"x"}`, future, future, past), ErrIssuedInFuture},
		{key, headerOf(HS256), fmt.Sprintf(`{"nbf":%d,"exp":%d,"iss":"x","aud":"x"}`, future, past), ErrNotYetValid},
		{key, headerOf(HS256), fmt.Sprintf(`{"exp":%d,"iss":"x","aud":"x"}`, past), ErrExpired},
		{key, headerOf(HS256), fmt.Sprintf(`{"exp":%d,"iss":"x","aud":"x"}`, future), ErrIssuer},
		{key, headerOf(HS256), fmt.Sprintf(`{"exp":%d,"iss":"me","aud":"x"}`, future), ErrAudience},
		{key, headerOf(HS256), fmt.Sprintf(`{"exp":%d,"iss":"me","aud":"us"}`, future), ErrClaims},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			wantRefused(t, v, mint(t, tt.key, tt.header, tt.payload), tt.want)
		})
	}
}

// TestClock checks that iat, nbf and exp take effect on time, to the
// nanosecond.
func TestClock(t *testing.T) {
	for _, leeway := range []time.Duration{0, 10 * time.Second, time.Minute} {
		key := testKey(HS256) // made outside the bubble
		synctest.Test(t, func(t *testing.T) {
			v := newVerifier(t, VerifierConfig{Leeway: leeway}, key)
			start := time.Now().Truncate(time.Second)
			at := func(d time.Duration) int64 { return start.Add(d).Unix() }
			raw := mint(t, key, headerOf(HS256), fmt.Sprintf(`{"sub":"alice","iat":%d,"nbf":%d,"exp":%d}`,
				at(100*time.Second), at(200*time.Second), at(300*time.Second)))
			until := func(d time.Duration) { time.Sleep(time.Until(start.Add(d))) }

			until(100*time.Second - leeway - 1)
			wantRefused(t, v, raw, ErrIssuedInFuture)
			until(100*time.Second - leeway)
			wantRefused(t, v, raw, ErrNotYetValid)
			until(200*time.Second - leeway - 1)
			wantRefused(t, v, raw, ErrNotYetValid)
			until(200*time.Second - leeway)
			c := wantAccepted(t, v, raw)
			until(300*time.Second + leeway - 1)
			wantAccepted(t, v, raw)
			until(300*time.Second + leeway)
			wantRefused(t, v, raw, ErrExpired)
			if !c.ValidUntil().Equal(time.Now()) {
				t.Errorf("ValidUntil %s, but it expired at %s", c.ValidUntil(), time.Now())
			}
		})
	}
}

func TestMaxLifetime(t *testing.T) {
	key := testKey(HS256)
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Truncate(time.Second)
		time.Sleep(time.Until(now.Add(time.Second)))
		now = time.Now()
		for limit, life := range map[time.Duration]time.Duration{0: 366 * 24 * time.Hour, time.Hour: time.Hour} {
			v := newVerifier(t, VerifierConfig{MaxLifetime: limit}, key)
			payload := func(d time.Duration) string {
				return fmt.Sprintf(`{"sub":"alice","exp":%d}`, now.Add(d).Unix())
			}
			wantAccepted(t, v, mint(t, key, headerOf(HS256), payload(life)))
			wantRefused(t, v, mint(t, key, headerOf(HS256), payload(life+time.Second)), ErrClaims)
		}
	})
}

// TestMaxLifetimeFromIssue checks that a token whose lifetime is too long is
// refused near the end of its life, too, when its revocation has been
// forgotten.
func TestMaxLifetimeFromIssue(t *testing.T) {
	for _, alg := range []Algorithm{HS256, ES256} { // ES256 goes through the cache
		key := testKey(alg)
		synctest.Test(t, func(t *testing.T) {
			v := newVerifier(t, VerifierConfig{MaxLifetime: time.Hour}, key)
			now := time.Now().Unix()
			payload := func(life int64) string { return fmt.Sprintf(`{"sub":"alice","iat":%d,"exp":%d}`, now, now+life) }
			just, over := mint(t, key, headerOf(alg), payload(3600)), mint(t, key, headerOf(alg), payload(3601))
			for range 2 {
				wantAccepted(t, v, just)
				wantRefused(t, v, over, ErrClaims)
				time.Sleep(59 * time.Minute)
			}
		})
	}
}

// TestMaxLifetimeOfCenturies checks that adding the leeway to the maximum
// duration does not overflow.
func TestMaxLifetimeOfCenturies(t *testing.T) {
	key := testKey(HS256)
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, VerifierConfig{Leeway: MaxLeeway, MaxLifetime: math.MaxInt64}, key)
		last := time.Now().Add(MaxLeeway).Add(math.MaxInt64).Unix()
		payload := `{"sub":"alice","exp":%d}`
		wantAccepted(t, v, mint(t, key, headerOf(HS256), valid("")))
		wantAccepted(t, v, mint(t, key, headerOf(HS256), fmt.Sprintf(payload, last)))
		wantRefused(t, v, mint(t, key, headerOf(HS256), fmt.Sprintf(payload, last+1)), ErrClaims)
	})
}

func TestVerifyContext(t *testing.T) {
	v, raw := benchToken(t, HS256)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := v.Verify(ctx, raw); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestConcurrent checks that verifiers, which share scratch memory, do not
// share claims.
func TestConcurrent(t *testing.T) {
	key := testKey(HS256)
	v := newVerifier(t, VerifierConfig{}, key)
	var wg sync.WaitGroup
	for g := range 8 {
		subject := strings.Repeat(fmt.Sprint(g), 10+g)
		raw := mint(t, key, headerOf(HS256), `{"exp":`+soon()+`,"sub":"`+subject+`"}`)
		wg.Go(func() {
			for range 500 {
				c, err := verify(v, raw)
				if err != nil || c.Subject != subject || !strings.Contains(string(c.Payload()), `"`+subject+`"`) {
					t.Errorf("got %v %v", c, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestClaims(t *testing.T) {
	key := testKey(HS256)
	v := newVerifier(t, VerifierConfig{Audience: []string{"us"}, Leeway: 5 * time.Second, MaxLifetime: math.MaxInt64}, key)
	exp := time.Now().Unix() + 600
	payload := fmt.Sprintf(`{ "z":[1,{"b":2}], "sub":"al\u0069ce","exp":%d,"aud":["x","us"],"jti":"j","type":"access","fresh":true,"csrf":"c","sid":"s","iss":"i","iat":1,"nbf":2.5,"n":12345678901234567 }`, exp)
	c := wantAccepted(t, v, mint(t, key, headerOf(HS256), payload))
	if string(c.Payload()) != payload {
		t.Errorf("payload %s", c.Payload())
	}
	c.Payload()[0] = 'x'
	if string(c.Payload()) != payload {
		t.Error("Payload returns its own memory")
	}
	if c.Subject != "alice" || c.ID != "j" || c.Type != TypeAccess || !c.Fresh || c.CSRF != "c" || c.SessionID != "s" || c.Issuer != "i" {
		t.Errorf("got %+v", c)
	}
	if fmt.Sprint(c.Audience) != "[x us]" || c.IssuedAt.Unix() != 1 || c.NotBefore.UnixMilli() != 2500 || c.ExpiresAt.Unix() != exp {
		t.Errorf("got %v %v %v %v", c.Audience, c.IssuedAt, c.NotBefore, c.ExpiresAt)
	}
	if got := c.ValidUntil().Unix(); got != exp+5 {
		t.Errorf("valid until %d, want %d", got, exp+5)
	}
	var more struct {
		N int64 `json:"n"`
		Z []any `json:"z"`
		B int   `json:"N"`
	}
	if err := c.Decode(&more); err != nil || more.N != 12345678901234567 || len(more.Z) != 2 || more.B != 0 {
		t.Errorf("got %+v %v", more, err)
	}
	if err := c.Decode(&struct {
		Sub int `json:"sub"`
	}{}); err == nil {
		t.Error("a string was decoded into a number")
	}
}

// TestDateClaim checks that dates from the first to the last are accepted, in
// every form of a number, and that no others are.
func TestDateClaim(t *testing.T) {
	const last = maxDate
	for text, want := range map[string]int64{
		"0": 0, "0.0": 0, "-0": 0, "1.5": 1, "1e1": 10, "253402300799": last, "253402300799.0": last, "2534023007990e-1": last,
		"-1": -1, "-0.5": -1, "253402300800": -1, "253402300799.5": -1, "1e12": -1, "1e999": -1, `"1"`: -1, "null": -1, "true": -1,
	} {
		got, err := dateClaim(member{value: []byte(text)})
		if (err == nil) != (want >= 0) || err == nil && got.Unix() != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
}

// TestSessions checks that SeenSessions reports the accepted kinds of tokens.
func TestSessions(t *testing.T) {
	key := testKey(HS256)
	for _, test := range []struct {
		claims        string
		with, without bool
	}{
		{valid(``), false, true},
		{valid(`,"sid":"s"`), true, false},
		{`{"sub":"alice","sid":"s","exp":1}`, false, false},
	} {
		v := newVerifier(t, VerifierConfig{}, key)
		for range 2 {
			_, _ = verify(v, mint(t, key, headerOf(HS256), test.claims))
			if with, without := v.SeenSessions(); with != test.with || without != test.without {
				t.Errorf("%s: got %v, %v", test.claims, with, without)
			}
		}
	}
}

// TestErrors checks that a refusal contains nothing of the token except its
// kid, quoted.
func TestErrors(t *testing.T) {
	key := testKey(HS256)
	v := newVerifier(t, VerifierConfig{Issuer: "me"}, named(key, "k"))
	const canary = "CANARY"
	long := strings.Repeat("k", 200)
	for _, raw := range []string{
		canary, canary + "." + canary + "." + canary, canary + "!",
		mint(t, key, `{"CANARY`, "x"), mint(t, key, `{"CANARY":1,"CANARY":2}`, "x"), mint(t, key, `{"alg":"CANARY"}`, "x"), mint(t, key, `{"alg":["CANARY"]}`, "x"),
		mint(t, key, headerWith(HS256, `"typ":"CANARY"`), valid("")),
		mint(t, key, headerOf(HS256), `{"CANARY":1,"CANARY":2}`), mint(t, key, headerOf(HS256), `{"CANARY`), mint(t, key, headerOf(HS256), `CANARY`),
		mint(t, key, headerOf(HS256), valid(`,"iss":"CANARY"`)), mint(t, key, headerOf(HS256), valid(`,"aud":"CANARY","iss":"me"`)),
		mint(t, key, headerOf(HS256), valid(`,"nbf":"CANARY"`)), mint(t, key, headerOf(HS256), valid(`,"aud":["CANARY",1]`)),
		mint(t, key, headerOf(HS256), valid(`,"CANARY":1e1000,"jti":"\n"`)), mint(t, key, headerOf(HS256), `{"sub":"CANARY","exp":1}`),
	} {
		_, err := verify(v, raw)
		if err == nil {
			t.Errorf("%s accepted", raw)
		} else if strings.Contains(err.Error(), canary) || strings.ContainsAny(err.Error(), "\n\r\x00") {
			t.Errorf("the error shows the token: %q", err)
		}
		if _, err := UnverifiedHeader(raw); err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("the error shows the token: %q", err)
		}
	}
	_, err := verify(v, mint(t, key, headerWith(HS256, `"kid":"`+long+`"`), valid("")))
	var detail *Error
	if !errors.As(err, &detail) || !strings.Contains(detail.Detail, `"`+strings.Repeat("k", 64)+`"`) || strings.Contains(detail.Detail, strings.Repeat("k", 65)) {
		t.Errorf("detail %v", err)
	}
}

func TestUnverifiedHeader(t *testing.T) {
	got, err := UnverifiedHeader(encode([]byte(`{"alg":"HS256","kid":"k","x":[1]}`)) + ".e30.AAAA")
	if err != nil || got["alg"] != "HS256" || got["kid"] != "k" || len(got) != 3 {
		t.Errorf("got %v %v", got, err)
	}
	for raw, kind := range map[string]error{"": ErrSegments, "a.b": ErrSegments, "e30=.e30.": ErrMalformed, "W10.e30.": ErrMalformed, strings.Repeat("a", math.MaxUint16+2): ErrMalformed} {
		if _, err := UnverifiedHeader(raw); !errors.Is(err, kind) {
			t.Errorf("%.20q: got %v, want %v", raw, err, kind)
		}
	}
}

// TestIssuedLeeway checks that iat and nbf may be ahead of the clock by
// IssuedLeeway, or by Leeway if that is more, and that IssuedLeeway does not
// apply to exp.
func TestIssuedLeeway(t *testing.T) {
	key := testKey(HS256) // made outside the bubble
	for _, tt := range []struct{ leeway, issued, ahead time.Duration }{
		{0, 5 * time.Second, 5 * time.Second},
		{2 * time.Second, 5 * time.Second, 5 * time.Second},
		{7 * time.Second, 5 * time.Second, 7 * time.Second},
		{7 * time.Second, 0, 7 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := newVerifier(t, VerifierConfig{Leeway: tt.leeway, IssuedLeeway: tt.issued, MaxLifetime: 90 * time.Second}, key)
			start := time.Now().Truncate(time.Second)
			at := func(d time.Duration) int64 { return start.Add(d).Unix() }
			until := func(d time.Duration) { time.Sleep(time.Until(start.Add(d))) }
			raw := mint(t, key, headerOf(HS256), fmt.Sprintf(`{"sub":"alice","iat":%d,"nbf":%d,"exp":%d}`,
				at(10*time.Second), at(10*time.Second), at(100*time.Second)))
			late := mint(t, key, headerOf(HS256), fmt.Sprintf(`{"sub":"alice","nbf":%d,"exp":%d}`, at(10*time.Second), at(100*time.Second)))
			until(10*time.Second - tt.ahead - 1)
			wantRefused(t, v, raw, ErrIssuedInFuture)
			wantRefused(t, v, late, ErrNotYetValid)
			until(10*time.Second - tt.ahead)
			c := wantAccepted(t, v, raw) // it lives for all of MaxLifetime
			wantAccepted(t, v, late)
			if faults := v.Explain(t.Context(), raw); len(faults) != 0 {
				t.Errorf("Explain: %v", faults)
			}
			if from := c.IssuedFrom(); !from.Equal(time.Now()) {
				t.Errorf("issued from %v, want %v", from, time.Now())
			}
			until(100*time.Second + tt.leeway - 1)
			wantAccepted(t, v, raw)
			until(100*time.Second + tt.leeway)
			wantRefused(t, v, raw, ErrExpired)
		})
	}
	if !new(Claims).IssuedFrom().IsZero() {
		t.Error("IssuedFrom is not zero without an iat")
	}
}

// TestIssuedAnyTime checks that IssuedAnyTime ignores iat, and an nbf that is
// not later than iat, but no other claim.
func TestIssuedAnyTime(t *testing.T) {
	key := testKey(HS256)
	v := newVerifier(t, VerifierConfig{IssuedAnyTime: true, MaxLifetime: time.Hour}, key)
	now := time.Now().Truncate(time.Second)
	for name, tt := range map[string]struct {
		iat, nbf, exp time.Duration
		want          error
	}{
		"now":          {0, 0, time.Hour, nil},
		"ahead":        {48 * time.Hour, 48 * time.Hour, 49 * time.Hour, nil},
		"nbf is later": {48 * time.Hour, 48*time.Hour + time.Second, 49 * time.Hour, ErrNotYetValid},
		"nbf alone":    {0, time.Minute, time.Hour, ErrNotYetValid},
		"lives longer": {48 * time.Hour, 48 * time.Hour, 49*time.Hour + time.Second, ErrClaims},
		"has expired":  {-2 * time.Minute, -2 * time.Minute, -time.Minute, ErrExpired},
		"ends before":  {48 * time.Hour, 0, 47 * time.Hour, ErrClaims},
	} {
		raw := mint(t, key, headerOf(HS256), fmt.Sprintf(`{"sub":"alice","iat":%d,"nbf":%d,"exp":%d}`,
			now.Add(tt.iat).Unix(), now.Add(tt.nbf).Unix(), now.Add(tt.exp).Unix()))
		if _, err := v.Verify(t.Context(), raw); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestNewSecretVerifier(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	given := []byte(secret)
	v := must(NewSecretVerifier(given))
	given[0]++ // the verifier has a copy
	issuer := func(c IssuerConfig, secret string) *Issuer {
		c.Key = must(NewKey(HS256, []byte(secret), KeyOptions{ID: "any"}))
		return must(NewIssuer(c))
	}
	for name, tt := range map[string]struct {
		raw  string
		want error
	}{
		"access":         {must(issuer(IssuerConfig{}, secret).Access("ada", Options{})).Raw, nil},
		"refresh":        {must(issuer(IssuerConfig{Issuer: "any"}, secret).Refresh("ada", Options{})).Raw, nil},
		"another secret": {must(issuer(IssuerConfig{}, string(given)).Access("ada", Options{})).Raw, ErrSignature},
		"an audience":    {must(issuer(IssuerConfig{Audience: []string{"chat"}}, secret).Access("ada", Options{})).Raw, ErrAudience},
	} {
		if _, err := verify(v, tt.raw); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	for want, secret := range map[string]string{
		"token: HS256 key: the secret is empty":                            "",
		"token: HS256 key: the secret has 31 bytes, needs 32":              "0123456789abcdef0123456789abcde",
		"token: HS256 key: the secret has only 1 different bytes":          strings.Repeat("x", 32),
		"token: HS256 key: the secret is an encoded key, which may be pub": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS\n",
	} {
		if v, err := NewSecretVerifier([]byte(secret)); v != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", secret, v, err, want)
		}
	}
}
