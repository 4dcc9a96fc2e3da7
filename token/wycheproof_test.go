package token

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"crypto/ed25519"

	"wsauth/internal/testenv"
)

// The vectors are not in go.sum, since no package imports them, so their hash
// is here.
const (
	wycheproofModule = "github.com/c2sp/wycheproof@v0.0.0-20260902155932-3fa63dd0344a"
	wycheproofSum    = "h1:pNbL2nztRsWfW/ispAwsvcDFxs9Id38uIsR2/Up5G2c="
)

var wycheproofDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", wycheproofModule).Output()
	if err != nil {
		return "", err
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	if module.Sum != wycheproofSum {
		panic("Wycheproof's vectors are not the ones that were judged: " + module.Sum)
	}
	return filepath.Join(module.Dir, "testvectors_v1"), nil
})

// wycheproof reads the groups of one file of Project Wycheproof.
func wycheproof[Group any](t *testing.T, file string) []Group {
	t.Helper()
	dir, err := wycheproofDir()
	if err != nil {
		testenv.Skip(t, "Wycheproof's vectors cannot be fetched: "+err.Error())
	}
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct{ TestGroups []Group }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors.TestGroups
}

type jwsGroup struct {
	Comment         string
	Public, Private json.RawMessage
	Tests           []struct {
		TcID              int
		Comment, JWS, JWE string
		Result            string
	}
}

// key returns the public half, or the private one if the group has no public
// half.
func (g jwsGroup) key() json.RawMessage {
	if g.Public != nil {
		return g.Public
	}
	return g.Private
}

func TestWycheproofJWS(t *testing.T) {
	// These vectors contradict their own description: the alg of the key is
	// not that of the token, or the "invalid" token is a valid one.
	defective := []int{346, 347, 350, 351, 367, 370, 372, 373}
	defectiveButValid := []int{367, 370}

	judged, right := 0, 0
	for _, g := range wycheproof[jwsGroup](t, "json_web_signature_test.json") {
		key, keyErr := ParseJWK(g.key(), KeyOptions{InsecureWeakSecret: true})
		for _, tt := range g.Tests {
			accepted := false
			if keyErr == nil {
				set, err := NewKeySet(key)
				if err != nil {
					t.Fatal(err)
				}
				_, accepted = verifyJWS(set, tt.JWS)
			}
			want := tt.Result == "valid"
			if slices.Contains(defective, tt.TcID) {
				if want := slices.Contains(defectiveButValid, tt.TcID); accepted != want {
					t.Errorf("defective vector %d (%s): accepted %v, want %v", tt.TcID, tt.Comment, accepted, want)
				}
				continue
			}
			judged++
			if accepted == want {
				right++
			} else {
				t.Errorf("vector %d (%s, %s): accepted %v, key error %v", tt.TcID, g.Comment, tt.Comment, accepted, keyErr)
			}
		}
	}
	if judged != 393 || right != 393 {
		t.Errorf("%d of %d undisputed vectors right, want 393 of 393", right, judged)
	}
	t.Logf("Wycheproof JWS: %d of %d", right, judged)
}

func TestWycheproofKeySets(t *testing.T) {
	// Of the two keys that share an ID here, one is not canonical base64url:
	// it is skipped, and the other is then no longer ambiguous.
	const oneKeyLeft = 4

	judged, right := 0, 0
	for _, g := range wycheproof[jwsGroup](t, "json_web_key_test.json") {
		set, _, setErr := ParseKeySet(g.key())
		for _, tt := range g.Tests {
			accepted := false
			if setErr == nil {
				_, accepted = verifyJWS(set, tt.JWS)
			}
			judged++
			if accepted == (tt.Result == "valid") {
				right++
			} else if tt.TcID != oneKeyLeft {
				t.Errorf("vector %d (%s, %s): accepted %v, set error %v", tt.TcID, g.Comment, tt.Comment, accepted, setErr)
			}
		}
	}
	if judged != 26 || right != 25 {
		t.Errorf("%d of %d vectors right, want 25 of 26", right, judged)
	}
	t.Logf("Wycheproof JWK: %d of %d", right, judged)
}

func TestWycheproofJWE(t *testing.T) {
	set := must(NewKeySet(testKey(RS256)))
	judged := 0
	for _, g := range wycheproof[jwsGroup](t, "json_web_encryption_test.json") {
		for _, tt := range g.Tests {
			judged++
			if _, accepted := verifyJWS(set, tt.JWE); accepted {
				t.Errorf("vector %d (%s): accepted", tt.TcID, tt.Comment)
			}
		}
		if _, err := ParseJWK(g.key(), KeyOptions{}); err == nil {
			t.Errorf("group %s: an encryption key was accepted for signing", g.Comment)
		}
	}
	if judged != 139 {
		t.Errorf("%d vectors, want 139", judged)
	}
}

type primitiveGroup struct {
	KeySize, TagSize int
	PublicKeyAsn     string
	PublicKeyDer     string
	PublicKey        json.RawMessage
	Tests            []struct {
		TcID              int
		Comment, Key, Msg string
		Sig, Tag, Result  string
		Flags             []string
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	data, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestWycheproofPrimitives checks that our keys give the expected results for
// the vectors of the underlying algorithms. Those that are "acceptable" may be
// accepted or refused.
func TestWycheproofPrimitives(t *testing.T) {
	load := map[string]func(t *testing.T, g primitiveGroup) *Key{
		"ecdsa_secp256r1_sha256_p1363_test.json": func(t *testing.T, g primitiveGroup) *Key {
			return must(ParsePEM(ES256, pemOf("PUBLIC KEY", unhex(t, g.PublicKeyDer)), KeyOptions{}))
		},
		"ed25519_test.json": func(t *testing.T, g primitiveGroup) *Key {
			var k struct{ PK string }
			if err := json.Unmarshal(g.PublicKey, &k); err != nil {
				t.Fatal(err)
			}
			return must(NewKey(EdDSA, ed25519.PublicKey(unhex(t, k.PK)), KeyOptions{}))
		},
		"rsa_signature_2048_sha256_test.json": func(t *testing.T, g primitiveGroup) *Key {
			return must(ParsePEM(RS256, pemOf("RSA PUBLIC KEY", unhex(t, g.PublicKeyAsn)), KeyOptions{}))
		},
	}
	for file, key := range load {
		t.Run(file, func(t *testing.T) {
			judged := 0
			for _, g := range wycheproof[primitiveGroup](t, file) {
				k := key(t, g)
				for _, tt := range g.Tests {
					if tt.Result == "acceptable" {
						continue
					}
					judged++
					if got := k.verify(unhex(t, tt.Msg), unhex(t, tt.Sig)); got != (tt.Result == "valid") {
						t.Errorf("vector %d (%s): verified %v", tt.TcID, tt.Comment, got)
					}
				}
			}
			if judged < 100 {
				t.Errorf("only %d vectors", judged)
			}
		})
	}
	for file, alg := range map[string]Algorithm{
		"hmac_sha256_test.json": HS256, "hmac_sha384_test.json": HS384, "hmac_sha512_test.json": HS512,
	} {
		t.Run(file, func(t *testing.T) {
			judged := 0
			for _, g := range wycheproof[primitiveGroup](t, file) {
				full := g.TagSize == 8*suites[alg].hash.Size()
				for _, tt := range g.Tests {
					k := must(NewKey(alg, unhex(t, tt.Key), KeyOptions{InsecureWeakSecret: true}))
					judged++ // JWS has no truncated MACs, so these must fail
					if got := k.verify(unhex(t, tt.Msg), unhex(t, tt.Tag)); got != (full && tt.Result == "valid") {
						t.Errorf("vector %d (%s): verified %v", tt.TcID, tt.Comment, got)
					}
				}
			}
			if judged < 100 {
				t.Errorf("only %d vectors", judged)
			}
		})
	}
}
