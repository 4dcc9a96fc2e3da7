package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// withProfile returns a function that verifies a payload with additional
// members, by a verifier with this profile.
func withProfile(t testing.TB, p Profile) func(more string) (*Claims, error) {
	v := newVerifier(t, VerifierConfig{Profile: &p, Audience: []string{"chat"}, Cache: -1}, testKey(HS256))
	return func(more string) (*Claims, error) {
		return verify(v, mint(t, testKey(HS256), headerOf(HS256), `{"exp":`+soon()+more+`}`))
	}
}

const ofAlice = `,"sub":"alice","aud":"chat"`

func TestProfileNames(t *testing.T) {
	for _, test := range []struct {
		name    string
		profile Profile
		more    string
		want    string // "" refused: subject sid scopes roles
	}{
		{"by default", Profile{}, ofAlice + `,"sid":"s","scope":"a  b"`, `"alice" "s" ["a" "b"] []`},
		{"other names", Profile{Subject: "uid", Audience: "for", SessionID: "login", Scopes: "scp", Roles: "groups"},
			`,"uid":"u","for":["x","chat"],"login":"l","scp":["a b","c"],"groups":"one two","sub":7,"aud":7,"sid":7,"scope":7`, `"u" "l" ["a b" "c"] ["one two"]`},
		{"pointers", Profile{Roles: "/realm/roles"}, ofAlice + `,"realm":{"roles":["r"]}`, `"alice" "" [] ["r"]`},
		{"a pointer with escapes", Profile{Roles: "/https:~1~1x~0/r"}, ofAlice + `,"https://x~":{"r":["r"]}`, `"alice" "" [] ["r"]`},
		{"a slash in a name is no pointer", Profile{Roles: "a/b"}, ofAlice + `,"a/b":["r"],"a":{"b":["no"]}`, `"alice" "" [] ["r"]`},
		{"a pointer to nothing", Profile{Roles: "/realm/roles"}, ofAlice + `,"realm":{}`, `"alice" "" [] []`},
		{"a pointer through an array", Profile{Roles: "/realm/0"}, ofAlice + `,"realm":["r"]`, `"alice" "" [] []`},
		{"a pointer to refuse through a string", Profile{Refuse: []string{"/realm/roles"}}, ofAlice + `,"realm":"roles"`, `"alice" "" [] []`},
		{"a pointer through a string", Profile{Roles: "/realm/roles"}, ofAlice + `,"realm":"roles"`, `"alice" "" [] []`},
		{"no subject", Profile{}, `,"aud":"chat"`, ""},
		{"no subject of that name", Profile{Subject: "uid"}, ofAlice, ""},
		{"a number as subject", Profile{}, `,"aud":"chat","sub":1`, ""},
		{"null as subject", Profile{}, `,"aud":"chat","sub":null`, ""},
		{"an empty subject", Profile{}, `,"aud":"chat","sub":""`, ""},
		{"an array as subject", Profile{}, `,"aud":"chat","sub":["alice"]`, ""},
		{"a control character", Profile{}, `,"aud":"chat","sub":"a\u0000"`, ""},
		{"a long subject", Profile{}, `,"aud":"chat","sub":"` + strings.Repeat("a", 257) + `"`, ""},
		{"a number as session", Profile{}, ofAlice + `,"sid":1`, ""},
		{"another audience", Profile{}, `,"sub":"alice","aud":"other"`, ""},
		{"no audience", Profile{}, `,"sub":"alice"`, ""},
		{"an audience of another name", Profile{Audience: "client_id"}, ofAlice, ""},
		{"words are not audiences", Profile{}, `,"sub":"alice","aud":"x chat"`, ""},
		{"an object as audience", Profile{}, `,"sub":"alice","aud":{"chat":1}`, ""},
		{"a number among roles", Profile{Roles: "roles"}, ofAlice + `,"roles":["a",1]`, ""},
		{"an empty role", Profile{Roles: "roles"}, ofAlice + `,"roles":[""]`, ""},
		{"an object as roles", Profile{Roles: "roles"}, ofAlice + `,"roles":{"a":true}`, ""},
		{"its names as roles", Profile{Roles: "urn:zitadel:iam:org:project:roles", RoleKeys: true},
			ofAlice + `,"urn:zitadel:iam:org:project:roles":{"user":{"12":"a.example"},"admin":{"12":"a.example"}}`, `"alice" "" [] ["admin" "user"]`},
		{"its names, deeper", Profile{Roles: "/app/roles", RoleKeys: true}, ofAlice + `,"app":{"roles":{"b":true,"a":1,"c":false,"d":null,"e":""}}`, `"alice" "" [] ["a" "b" "e"]`},
		{"an empty object", Profile{Roles: "roles", RoleKeys: true}, ofAlice + `,"roles":{}`, `"alice" "" [] []`},
		{"an empty name", Profile{Roles: "roles", RoleKeys: true}, ofAlice + `,"roles":{"":true}`, ""},
		{"a name with a control", Profile{Roles: "roles", RoleKeys: true}, ofAlice + `,"roles":{"a\u0000":true}`, ""},
		{"a list all the same", Profile{Roles: "roles", RoleKeys: true}, ofAlice + `,"roles":["b","a"]`, `"alice" "" [] ["b" "a"]`},
		{"a number all the same", Profile{Roles: "roles", RoleKeys: true}, ofAlice + `,"roles":1`, ""},
		{"a list of objects", Profile{Roles: "roles", RoleKeys: true}, ofAlice + `,"roles":[{"a":true}]`, ""},
		{"an empty text as roles", Profile{Roles: "roles"}, ofAlice + `,"roles":""`, `"alice" "" [] []`},
		{"an empty text as scope", Profile{}, ofAlice + `,"scope":""`, `"alice" "" [] []`},
		{"an empty session", Profile{}, ofAlice + `,"sid":""`, `"alice" "" [] []`},
		{"null as session", Profile{}, ofAlice + `,"sid":null`, `"alice" "" [] []`},
		{"a session of spaces", Profile{}, ofAlice + `,"sid":" "`, `"alice" " " [] []`},
		{"an empty jti", Profile{}, ofAlice + `,"jti":""`, `"alice" "" [] []`},
		{"null as jti", Profile{}, ofAlice + `,"jti":null`, `"alice" "" [] []`},
		{"a number as jti", Profile{}, ofAlice + `,"jti":1`, ""},
		{"a number as scope", Profile{}, ofAlice + `,"scope":1`, ""},
		{"null as scope", Profile{}, ofAlice + `,"scope":null`, `"alice" "" [] []`},
		{"null as roles", Profile{Roles: "/realm/roles"}, ofAlice + `,"realm":{"roles":null},"roles":["no"]`, `"alice" "" [] []`},
		{"null on the way to the roles", Profile{Roles: "/realm/roles"}, ofAlice + `,"realm":null,"roles":["no"]`, `"alice" "" [] []`},
		{"no roles in the array", Profile{Roles: "/realm/roles"}, ofAlice + `,"realm":{"roles":[]},"roles":["no"]`, `"alice" "" [] []`},
		{"no place for roles", Profile{}, ofAlice + `,"roles":["no"]`, `"alice" "" [] []`},
		{"null as audience", Profile{}, `,"sub":"alice","aud":null`, ""},
		{"the kind that is required", Profile{Require: map[string][]string{"typ": {"Bearer", "at"}}}, ofAlice + `,"typ":"at"`, `"alice" "" [] []`},
		{"another kind", Profile{Require: map[string][]string{"typ": {"Bearer"}}}, ofAlice + `,"typ":"ID"`, ""},
		{"the kind in another case", Profile{Require: map[string][]string{"typ": {"Bearer"}}}, ofAlice + `,"typ":"bearer"`, ""},
		{"the kind in an array", Profile{Require: map[string][]string{"typ": {"Bearer"}}}, ofAlice + `,"typ":["Bearer"]`, ""},
		{"no kind", Profile{Require: map[string][]string{"typ": {"Bearer"}}}, ofAlice, ""},
		{"a claim with any value", Profile{Require: map[string][]string{"cid": nil}}, ofAlice + `,"cid":false`, `"alice" "" [] []`},
		{"without the claim", Profile{Require: map[string][]string{"cid": nil}}, ofAlice, ""},
		{"a claim that is refused", Profile{Refuse: []string{"nonce"}}, ofAlice + `,"nonce":null`, ""},
		{"a claim that is refused, deeper", Profile{Refuse: []string{"/a/b"}}, ofAlice + `,"a":{"b":0}`, ""},
		{"a logout token", Profile{}, ofAlice + `,"events":{}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := withProfile(t, test.profile)(test.more)
			if test.want == "" {
				want := ErrClaims
				if strings.Contains(test.name, "audience") && !strings.HasSuffix(test.name, "object as audience") {
					want = ErrAudience
				}
				if !errors.Is(err, want) {
					t.Errorf("%v, %v; want %v", c, err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%q %q %q %q", c.Subject, c.SessionID, c.Scopes, c.Roles); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestProfileForeignClaims checks that claims that have a meaning in our own
// tokens are ignored in a token of another issuer.
func TestProfileForeignClaims(t *testing.T) {
	for _, more := range []string{
		`,"type":"refresh","fresh":true,"csrf":"x"`,
		`,"type":["access"],"fresh":"yes","csrf":{}`,
	} {
		c, err := withProfile(t, Profile{})(ofAlice + more)
		if err != nil || c.Type != TypeAccess || c.Fresh || c.CSRF != "" {
			t.Errorf("%s: got %v %v", more, c, err)
		}
	}
}

func TestProfileFresh(t *testing.T) {
	now := time.Now().Unix()
	at := func(seconds int64) string { return fmt.Sprint(now - seconds) }
	for _, test := range []struct {
		name, more string
		fresh      time.Duration
		want       bool
	}{
		{"just now", `,"iat":` + at(0) + `,"auth_time":` + at(0), time.Minute, true},
		{"at the border", `,"iat":` + at(0) + `,"auth_time":` + at(60), time.Minute, true},
		{"past it", `,"iat":` + at(0) + `,"auth_time":` + at(61), time.Minute, false},
		{"never", `,"iat":` + at(0) + `,"auth_time":` + at(0), 0, false},
		{"no auth_time", `,"iat":` + at(0), time.Minute, false},
		{"no iat", `,"auth_time":` + at(0), time.Minute, false},
		{"a text", `,"iat":` + at(0) + `,"auth_time":"` + at(0) + `"`, time.Minute, false},
		{"negative", `,"iat":` + at(0) + `,"auth_time":-1`, time.Minute, false},
		{"beyond all dates", `,"iat":` + at(0) + `,"auth_time":1e300`, time.Minute, false},
		{"after the token", `,"iat":` + at(30) + `,"auth_time":` + at(-3600), time.Minute, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := withProfile(t, Profile{FreshFor: test.fresh})(ofAlice + test.more)
			if err != nil || c.Fresh != test.want {
				t.Errorf("%v, %v; want fresh %t", c, err, test.want)
			}
		})
	}
}

func TestProfileErrors(t *testing.T) {
	for _, p := range []Profile{
		{Subject: "/a~2"}, {Roles: "/~"}, {Require: map[string][]string{"typ": {""}}}, {Require: map[string][]string{"": nil}},
		{Refuse: []string{""}}, {FreshFor: -1},
	} {
		if _, err := NewVerifier(VerifierConfig{Keys: must(NewKeySet(testKey(HS256))), Profile: &p}); err == nil || !strings.Contains(err.Error(), "Profile") {
			t.Errorf("%+v: got %v, want an error with %q", p, err, "Profile")
		}
	}
}

// TestNamespace checks that a name of a user, session or token of one issuer
// never equals one of another.
func TestNamespace(t *testing.T) {
	a, b := testKey(HS256), must(GenerateKey(HS256))
	ours := newVerifier(t, VerifierConfig{Issuer: "https://a.example"}, a)
	theirs := newVerifier(t, VerifierConfig{Issuer: "https://b.example", Namespace: "kc", Profile: &Profile{Audience: "client"}, Audience: []string{"chat"}}, b)
	m := must(NewVerifiers(ours, theirs))
	of := func(key *Key, more string) (*Claims, error) {
		return m.Verify(context.Background(), mint(t, key, headerOf(HS256), `{"exp":`+soon()+more+`}`))
	}
	c, err := of(b, `,"iss":"https://b.example","client":"chat","sub":"alice|x","sid":"s","jti":"j"`)
	if err != nil || c.Subject != "kc|alice|x" || c.SessionID != "kc|s" || c.ID != "kc|j" {
		t.Errorf("got %v, %v", c, err)
	}
	for _, more := range []string{`"sub":"kc|alice"`, `"sub":"bob","sid":"kc|s"`, `"sub":"bob","jti":"kc|j"`} {
		if c, err := of(a, `,"iss":"https://a.example",`+more); !errors.Is(err, ErrClaims) {
			t.Errorf("%s of the issuer without a namespace: %v, %v", more, c, err)
		}
	}
	if c, err := of(a, `,"iss":"https://a.example","sub":"kcx|alice"`); err != nil || c.Subject != "kcx|alice" {
		t.Errorf("a user whose name only looks like it: %v, %v", c, err)
	}
	for namespace, ok := range map[string]bool{
		strings.Repeat("a", maxNamespace): true, strings.Repeat("a", maxNamespace+1): false,
		"az09-": true, "A": false, "`": false, "{": false, "/": false, ":": false, "a|b": false,
	} {
		if _, err := NewVerifier(VerifierConfig{Keys: newSwap(a), Namespace: namespace}); (err == nil) != ok {
			t.Errorf("the namespace %q: %v", namespace, err)
		}
	}
	if _, err := of(b, `,"iss":"https://b.example","client":"chat","sub":"`+strings.Repeat("a", 254)+`"`); !errors.Is(err, ErrClaims) {
		t.Errorf("a name that is too long with its namespace: %v", err)
	}
}

// FuzzProfile checks that the claims of every accepted payload obey the
// profile, with an independent check of each rule.
func FuzzProfile(f *testing.F) {
	seeds := []string{
		ofAlice + `,"typ":"Bearer","realm":{"roles":["a"]}`, ofAlice + `,"typ":"Bearer","scope":"a b","auth_time":1,"iat":1`,
		ofAlice + `,"typ":"ID"`, ofAlice + `,"typ":"Bearer","nonce":1`, `,"sub":{},"type":"access","fresh":true`, `}`,
	}
	for _, more := range seeds {
		f.Add(more)
	}
	v := newVerifier(f, VerifierConfig{Audience: []string{"chat"}, Cache: -1, Profile: &Profile{
		Roles: "/realm/roles", Require: map[string][]string{"typ": {"Bearer"}}, Refuse: []string{"nonce"}, FreshFor: time.Hour,
	}}, testKey(HS256))
	f.Fuzz(func(t *testing.T, more string) {
		c, err := verify(v, mint(t, testKey(HS256), headerOf(HS256), `{"exp":`+soon()+more+`}`))
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Fatalf("error of type %T", err)
			}
			return
		}
		var all map[string]any
		if err := c.Decode(&all); err != nil {
			t.Fatal(err)
		}
		_, nonce := all["nonce"]
		_, events := all["events"]
		if c.Subject == "" || c.Subject != all["sub"] || all["typ"] != "Bearer" || nonce || events || c.Type != TypeAccess || c.CSRF != "" {
			t.Fatalf("accepted %s as %v", c.Payload(), c)
		}
		if !slices.Contains(c.Audience, "chat") || c.Fresh && all["auth_time"] == nil {
			t.Fatalf("accepted %s as %v", c.Payload(), c)
		}
		for _, name := range slices.Concat(c.Scopes, c.Roles, []string{c.Subject}) {
			if name == "" || nameFault(name) != "" {
				t.Fatalf("accepted the name %q", name)
			}
		}
	})
}

// TestAuthorizedParty checks that the client that requested a token matters
// only if this is configured, and only if the token names no other audience.
func TestAuthorizedParty(t *testing.T) {
	const azp, ignored = `,"azp":"web"`, `,"aud":["account","broker"]`
	for _, test := range []struct {
		name, more string
		set, unset bool // accepted with the setting, and without it
	}{
		{"for us", `,"aud":"chat"`, true, true},
		{"for us and others", `,"aud":["other","chat"],"azp":"x"`, true, true},
		{"no aud", azp, true, false},
		{"null as aud", `,"aud":null` + azp, true, false},
		{"ignored ones", ignored + azp, true, false},
		{"an ignored one", `,"aud":"account"` + azp, true, false},
		{"another", `,"aud":"other"` + azp, false, false},
		{"ignored and another", `,"aud":["account","other"]` + azp, false, false},
		{"the client itself", `,"aud":"web"` + azp, false, false},
		{"no azp", "", false, false},
		{"another azp", `,"azp":"other"`, false, false},
		{"ignored, another azp", ignored + `,"azp":"account"`, false, false},
		{"azp in another case", `,"azp":"WEB"`, false, false},
		{"a list as azp", `,"azp":["web"]`, false, false},
		{"an empty azp", `,"azp":""`, false, false},
		{"client_id", `,"client_id":"web"`, false, false},
	} {
		for _, set := range []bool{true, false} {
			c := VerifierConfig{Profile: &Profile{}, Audience: []string{"chat"}}
			if set {
				c.InsecureAuthorizedParty, c.IgnoredAudiences = []string{"app", "web"}, []string{"account", "broker"}
			}
			v := newVerifier(t, c, testKey(HS256))
			_, err := verify(v, mint(t, testKey(HS256), headerOf(HS256), valid(test.more)))
			if want := map[bool]bool{true: test.set, false: test.unset}[set]; (err == nil) != want || err != nil && !errors.Is(err, ErrAudience) {
				t.Errorf("%s, set: %t: %v", test.name, set, err)
			}
			if err != nil && (set || !strings.Contains(test.more, "aud")) && !strings.Contains(err.Error(), "insecure_authorized_party") {
				t.Errorf("%s, set: %t: the error names no setting: %v", test.name, set, err)
			}
		}
	}
	// Without an audience of our own, no other token is accepted.
	v := newVerifier(t, VerifierConfig{Profile: &Profile{AuthorizedParty: "client_id"}, InsecureAuthorizedParty: []string{"web"}}, testKey(HS256))
	wantAccepted(t, v, mint(t, testKey(HS256), headerOf(HS256), valid(`,"client_id":"web"`)))
	wantRefused(t, v, mint(t, testKey(HS256), headerOf(HS256), valid("")), ErrAudience)
	wantRefused(t, v, mint(t, testKey(HS256), headerOf(HS256), valid(azp)), ErrAudience)
	wantRefused(t, v, mint(t, testKey(HS256), headerOf(HS256), valid(`,"client_id":"web","aud":"web"`)), ErrAudience)
}

func TestAuthorizedPartyErrors(t *testing.T) {
	keys := must(NewKeySet(testKey(HS256)))
	for want, c := range map[string]VerifierConfig{
		"AuthorizedParties: needs a Profile":       {AuthorizedParties: []string{"a"}},
		`AuthorizedParties: "" is empty`:           {AuthorizedParties: []string{""}, Profile: &Profile{}},
		"InsecureAuthorizedParty: needs a Profile": {InsecureAuthorizedParty: []string{"a"}},
		`InsecureAuthorizedParty: "" is empty`:     {InsecureAuthorizedParty: []string{""}, Profile: &Profile{}},
		"IgnoredAudiences: needs":                  {IgnoredAudiences: []string{"a"}, Profile: &Profile{}},
		`IgnoredAudiences: "a" is in Audience`:     {IgnoredAudiences: []string{"a"}, Audience: []string{"a"}, InsecureAuthorizedParty: []string{"b"}, Profile: &Profile{}},
		`Profile: "/~2" names no claim`:            {Profile: &Profile{AuthorizedParty: "/~2"}},
	} {
		c.Keys = keys
		if _, err := NewVerifier(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestOtherSubject checks that if another claim than sub names the user, sub is
// kept as a second name, and that an email address must have been verified.
func TestOtherSubject(t *testing.T) {
	const both = `,"aud":"chat","sub":"248","email":"ada@x.example","user":{"email":"ada@x.example","name":"ada"}`
	for _, test := range []struct {
		subject, more string
		want          string // "subject issuer's", "" refused
	}{
		{"", `,"aud":"chat","sub":"248"`, "248 "},
		{"email", both + `,"email_verified":true`, "ada@x.example 248"},
		{"email", both + `,"email_verified":"true"`, "ada@x.example 248"},
		{"email", both, ""},
		{"email", both + `,"email_verified":false`, ""},
		{"email", both + `,"email_verified":"false"`, ""},
		{"email", both + `,"email_verified":"True"`, ""},
		{"email", both + `,"email_verified":1`, ""},
		{"email", both + `,"email_verified":null`, ""},
		{"email", both + `,"email_verified":["true"]`, ""},
		{"/email", both, ""},
		{"/email", both + `,"email_verified":true`, "ada@x.example 248"},
		{"/user/email", both + `,"email_verified":true`, ""},
		{"/user/email", `,"aud":"chat","sub":"248","user":{"email":"ada@x.example","email_verified":true}`, "ada@x.example 248"},
		{"/user/name", both, "ada 248"},
		{"https://app.example/email", `,"aud":"chat","sub":"248","https://app.example/email":"ada@x.example","email_verified":true`, ""},
		{"https://app.example/email", `,"aud":"chat","sub":"248","https://app.example/email":"ada@x.example","https://app.example/email_verified":true`, "ada@x.example 248"},
		{"/https:~1~1app.example~1email", `,"aud":"chat","sub":"248","https://app.example/email":"ada@x.example"`, ""},
		{"/https:~1~1app.example~1email", `,"aud":"chat","sub":"248","https://app.example/email":"ada@x.example","https://app.example/email_verified":"true"`, "ada@x.example 248"},
		{"custom:email", `,"aud":"chat","sub":"248","custom:email":"ada@x.example"`, ""},
		{"x~1email", `,"aud":"chat","sub":"248","x~1email":"ada"`, "ada 248"}, // no pointer
		{"work_email", both + `,"work_email":"ada"`, "ada 248"},
		{"uid", `,"aud":"chat","uid":"ada"`, "ada "},
		{"uid", `,"aud":"chat","uid":"ada","sub":7`, "ada "},
		{"uid", `,"aud":"chat","uid":"ada","sub":"ada"`, "ada ada"},
		{"uid", `,"aud":"chat","uid":"ada","sub":"` + strings.Repeat("a", 257) + `"`, ""},
		{"uid", `,"aud":"chat","sub":"ada"`, ""},
		{"/sub", `,"aud":"chat","sub":"ada"`, "ada "},
	} {
		c, err := withProfile(t, Profile{Subject: test.subject})(test.more)
		got := ""
		if err == nil {
			got = c.Subject + " " + c.IssuerSubject
		} else if !errors.Is(err, ErrClaims) {
			t.Errorf("%s of %s: %v", test.subject, test.more, err)
		}
		if got != test.want {
			t.Errorf("%s of %s: %q, %v, want %q", test.subject, test.more, got, err, test.want)
		}
	}
	v := newVerifier(t, VerifierConfig{Profile: &Profile{Subject: "uid"}, Namespace: "kc"}, testKey(ES256))
	raw := mint(t, testKey(ES256), headerOf(ES256), valid(`,"uid":"ada"`))
	stored := new(Claims)
	for range 2 { // verified, then remembered
		c := must(verify(v, raw))
		if err := stored.UnmarshalBinary(must(c.MarshalBinary())); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*Claims{c, stored} {
			if c.Subject != "kc|ada" || c.IssuerSubject != "kc|alice" || !c.HasSubject("kc|ada") || !c.HasSubject("kc|alice") || c.HasSubject("alice") || c.HasSubject("") {
				t.Errorf("got %q %q", c.Subject, c.IssuerSubject)
			}
			if strings.Contains(string(c.Payload()), "alice") {
				t.Errorf("the payload has the other name: %s", c.Payload())
			}
		}
	}
	wantRefused(t, v, mint(t, testKey(ES256), headerOf(ES256), `{"sub":"`+strings.Repeat("a", 254)+`","uid":"ada","exp":`+soon()+`}`), ErrClaims)
}
