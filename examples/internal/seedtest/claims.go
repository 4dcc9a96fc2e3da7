package seedtest

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"
)

const uuid4 = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`

// payloads matches the exact payloads that the programs issue.
var payloads = map[Kind]*regexp.Regexp{
	Fresh:   payload(`"type":"access","fresh":true`),
	Refresh: payload(`"type":"refresh"`),
}

func payload(kind string) *regexp.Regexp {
	return regexp.MustCompile(`^\{"sub":"test","iat":[0-9]{10},"nbf":[0-9]{10},"jti":"` + uuid4 + `","exp":[0-9]{10},` + kind + `(?:,"csrf":"(` + uuid4 + `)")?\}$`)
}

// CheckIssued fails the test unless the token has the form of a token that the
// original programs issue, and was issued just now. It returns the token's jti,
// and its csrf or "".
func CheckIssued(t *testing.T, kind Kind, token string) (jti, csrf string) {
	t.Helper()
	header, payload := Parts(t, token)
	if header != `{"alg":"HS256","typ":"JWT"}` {
		t.Errorf("header %s", header)
	}
	match := payloads[kind].FindStringSubmatch(payload)
	if match == nil {
		t.Fatalf("payload %s, want one like %s", payload, payloads[kind])
	}
	var claims struct {
		ID  string `json:"jti"`
		Iat int64
		Nbf int64
		Exp int64
	}
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		t.Fatal(err)
	}
	lifetime := map[Kind]int64{Fresh: 900, Refresh: 2592000}[kind]
	if claims.Nbf != claims.Iat || claims.Exp != claims.Iat+lifetime {
		t.Errorf("iat %d, nbf %d, exp %d", claims.Iat, claims.Nbf, claims.Exp)
	}
	if age := time.Now().Unix() - claims.Iat; age < 0 || age > int64(patience/time.Second) {
		t.Errorf("issued %d seconds ago", age)
	}
	return claims.ID, match[1]
}
