package token

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// TestG4_PayloadHasTheNamespace checks that the payload of a provider's token
// has the same names as its Claims, and none without the namespace.
func TestG4_PayloadHasTheNamespace(t *testing.T) {
	v := newVerifier(t, VerifierConfig{Issuer: "https://b.example", Namespace: "kc", Cache: -1}, testKey(HS256))
	of := newVerifier(t, VerifierConfig{
		Issuer: "https://b.example", Namespace: "kc", Cache: -1, Audience: []string{"chat"}, Profile: &Profile{Subject: "/user/id", SessionID: "login"},
	}, testKey(HS256))
	for _, test := range []struct {
		name     string
		verifier *Verifier
		more     string
		want     string // of the payload, without exp and iss
	}{
		{"names", v, `,"sub":"ada","sid":"s","jti":"j","x":[1.50]`, `{"jti":"kc|j","sid":"kc|s","sub":"kc|ada","x":[1.50]}`},
		{"absent names", v, `,"sub":"ada"`, `{"sub":"kc|ada"}`},
		{"escaped names", v, `,"\u0073ub":"ada"`, `{"sub":"kc|ada"}`},
		{"case twins", v, `,"sub":"ada","SUB":"bob","Sid":"s","\u017fub":"eve","JTI":"j","EXP":1,"Iss":"x"`, `{"sub":"kc|ada"}`},
		{"an actor", v, `,"sub":"ada","act":{"sub":"bob","Sub":"x","n":1,"act":{"sub":"eve"}}`, `{"act":{"act":{"sub":"kc|eve"},"n":1,"sub":"kc|bob"},"sub":"kc|ada"}`},
		{"an actor of the issuer", v, `,"sub":"ada","may_act":{"iss":"https://b.example","sub":"bob"}`, `{"may_act":{"iss":"https://b.example","sub":"kc|bob"},"sub":"kc|ada"}`},
		{"an actor of another", v, `,"sub":"ada","act":{"iss":"https://c.example","sub":"bob"}`, `{"act":{"iss":"https://c.example","sub":"bob"},"sub":"kc|ada"}`},
		{"twins of an actor", v, `,"sub":"ada","act":{"sub":"bob"},"ACT":{"sub":"x"},"act.sub":"y","Sub_id.sub":"z","actor":1,"a.act":2`, `{"a.act":2,"act":{"sub":"kc|bob"},"actor":1,"sub":"kc|ada"}`},
		{"an actor that is none", v, `,"sub":"ada","act":"sub"`, `{"act":"sub","sub":"kc|ada"}`},
		{"a subject identifier", v, `,"sub":"ada","sub_id":{"format":"iss_sub","iss":"https://b.example","sub":"ada"}`, `{"sub":"kc|ada","sub_id":{"format":"iss_sub","iss":"https://b.example","sub":"kc|ada"}}`},
		{"another claim as subject", of, `,"aud":"chat","user":{"id":"ada"},"login":"l","sub":{"id":"bob"},"sid":"s","user.id":"eve"`,
			`{"aud":"chat","fresh":false,"login":"l","sid":"kc|l","sub":"kc|ada","type":"access","user":{"id":"ada"}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := verify(test.verifier, mint(t, testKey(HS256), headerOf(HS256), `{"exp":`+soon()+`,"iss":"https://b.example"`+test.more+`}`))
			if err != nil {
				t.Fatal(err)
			}
			wantPayload(t, c, test.want)
			encoded := must(c.MarshalBinary())
			stored := new(Claims)
			if err := stored.UnmarshalBinary(encoded); err != nil {
				t.Fatal(err)
			}
			wantPayload(t, stored, test.want)
		})
	}
}

// wantPayload compares the payload of c, without exp and iss, in any order of
// its members.
func wantPayload(t *testing.T, c *Claims, want string) {
	t.Helper()
	var got map[string]any
	if err := c.Decode(&got); err != nil {
		t.Fatal(err)
	}
	delete(got, "exp")
	delete(got, "iss")
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	a, b := must(json.Marshal(got, json.Deterministic(true))), must(json.Marshal(wanted, json.Deterministic(true)))
	if string(a) != string(b) {
		t.Errorf("payload %s, want %s", a, b)
	}
}

// TestG5_PayloadHasTheMappedClaims checks that the profile is the only source
// of roles and scopes, also for readers of the payload.
func TestG5_PayloadHasTheMappedClaims(t *testing.T) {
	const all = `,"roles":["no"],"Roles":["no"],"scp":"no","SCOPE":"no","type":"refresh","fresh":true,"csrf":"x","groups":["g"]`
	const none = `{"aud":"chat","fresh":false,"groups":["g"],"sub":"alice","type":"access"`
	keycloak := Profile{Roles: "/realm/roles"}
	for _, test := range []struct {
		name    string
		profile Profile
		more    string
		want    string // of the payload
	}{
		{"mapped", keycloak, all + `,"realm":{"roles":["yes"]},"scope":"a b"`, none + `,"realm":{"roles":["yes"]},"roles":["yes"],"scope":"a b"}`},
		{"absent", keycloak, all, none + `}`},
		{"with dots in its name", keycloak, all + `,"realm.roles":["no"],"Realm.roles":["no"],"realm.role":1`, none + `,"realm.role":1}`},
		{"null", keycloak, all + `,"realm":{"roles":null},"scope":null`, none + `,"realm":{"roles":null}}`},
		{"empty", keycloak, all + `,"realm":{"roles":[]},"scope":""`, none + `,"realm":{"roles":[]}}`},
		{"scopes in an array", Profile{Scopes: "scp"}, ofAlice + `,"scp":["a","b"],"scope":"no"`, `{"aud":"chat","fresh":false,"scope":"a b","scp":["a","b"],"sub":"alice","type":"access"}`},
		{"a scope with a space", Profile{Scopes: "scp"}, ofAlice + `,"scp":["a b"]`, `{"aud":"chat","fresh":false,"scope":["a b"],"scp":["a b"],"sub":"alice","type":"access"}`},
		{"no scopes in the array", Profile{Scopes: "scp"}, ofAlice + `,"scp":[],"scope":"no"`, `{"aud":"chat","fresh":false,"sub":"alice","type":"access"}`},
		{"one role", Profile{Roles: "role"}, ofAlice + `,"role":"yes"`, `{"aud":"chat","fresh":false,"role":"yes","roles":["yes"],"sub":"alice","type":"access"}`},
		{"roles from the claim of the scopes", Profile{Roles: "scp"}, ofAlice + `,"scp":["yes"]`, `{"aud":"chat","fresh":false,"roles":["yes"],"sub":"alice","type":"access"}`},
		{"an audience of another name", Profile{Audience: "client"}, `,"sub":"alice","client":"chat","aud":"no"`, `{"aud":"chat","client":"chat","fresh":false,"sub":"alice","type":"access"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			more := test.more
			if !strings.Contains(more, `"sub"`) {
				more = ofAlice + more
			}
			c, err := withProfile(t, test.profile)(more)
			if err != nil {
				t.Fatal(err)
			}
			wantPayload(t, c, test.want)
		})
	}
}

// TestStatementIsNotRewritten checks that only payloads of tokens are
// rewritten: statements are compared by the names that their issuer uses.
func TestStatementIsNotRewritten(t *testing.T) {
	v := newVerifier(t, VerifierConfig{Issuer: "https://b.example", Namespace: "kc", Cache: -1}, testKey(HS256))
	raw := mint(t, testKey(HS256), headerOf(HS256), `{"iss":"https://b.example","aud":"us","sub":"ada","jti":"j","iat":`+fmt.Sprint(time.Now().Unix())+`}`)
	c, err := v.VerifyStatement(t.Context(), raw, StatementRules{MediaTypes: []string{""}, Audience: []string{"us"}})
	if err != nil || !strings.Contains(string(c.Payload()), `"sub":"ada"`) {
		t.Errorf("got %v, %v", c, err)
	}
}

// FuzzRewrite checks that the payload of an accepted token agrees with its
// claims, contains no twin of them, and keeps all other members, whatever
// members were signed.
func FuzzRewrite(f *testing.F) {
	for _, more := range []string{
		ofAlice + `,"sid":"s","jti":"j","roles":["no"],"realm":{"roles":["yes"]},"scp":"a b"`, ofAlice + `,"act":{"sub":"bob","act":{"sub":"eve"}},"SUB":"x","ſub":"y"`,
		ofAlice + `,"scope":["a b","c"],"Type":"refresh","x":1e400,"y":"\ud83d\ude00"`, `,"sub":"a","aud":["chat","x"],"sub_id":{"iss":"z","sub":"q"}`,
		`,"sub":"a","aud":"chat","sid":"","jti":""`, `,"sub":"a","aud":"chat","sid":null,"jti":null`,
	} {
		f.Add(more)
	}
	v := newVerifier(f, VerifierConfig{Namespace: "kc", Audience: []string{"chat"}, Cache: -1, Profile: &Profile{Roles: "/realm/roles"}}, testKey(HS256))
	f.Fuzz(func(t *testing.T, more string) {
		signed := `{"exp":` + soon() + more + `}`
		c, err := verify(v, mint(t, testKey(HS256), headerOf(HS256), signed))
		if err != nil {
			return
		}
		var before, after map[string]any
		if err := json.Unmarshal([]byte(signed), &before); err != nil {
			t.Fatal(err)
		}
		if err := c.Decode(&after); err != nil {
			t.Fatal(err)
		}
		text := func(name string) string { s, _ := after[name].(string); return s }
		if text("sub") != c.Subject || text("sid") != c.SessionID || text("type") != string(c.Type) || !strings.HasPrefix(c.Subject, "kc|") {
			t.Fatalf("%s says other than %v", c.Payload(), c)
		}
		named := before["jti"] != nil && before["jti"] != ""
		if named && text("jti") != c.ID || !named && after["jti"] != nil {
			t.Fatalf("%s has another jti than %v", c.Payload(), c)
		}
		if roles, _ := after["roles"].([]any); len(roles) != len(c.Roles) {
			t.Fatalf("%s has other roles than %q", c.Payload(), c.Roles)
		}
		meant := slices.Concat(nameClaims, mappedClaims, checkedClaims)
		for name := range after {
			if isTwin(meant, name) && !slices.Contains(meant, name) {
				t.Fatalf("%s has the twin %q", c.Payload(), name)
			}
		}
		for name, value := range before {
			if isTwin(meant, name) || isTwin(subjectObjects, beforeDot(name)) || isTwin([]string{"realm.roles"}, name) {
				continue
			}
			a, b := must(json.Marshal(value, json.Deterministic(true))), must(json.Marshal(after[name], json.Deterministic(true)))
			if string(a) != string(b) {
				t.Fatalf("%q was %s and is %s", name, a, b)
			}
		}
	})
}
