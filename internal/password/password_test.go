package password

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"
)

// cheapHash returns a hash of "secret" that takes little time to check.
func cheapHash(t testing.TB) string {
	t.Helper()
	text, err := argon2id.CreateHash("secret", &argon2id.Params{Memory: minMemory, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func bcryptOf(t testing.TB, password string) string {
	t.Helper()
	text, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMatches(t *testing.T) {
	made, err := New("secret")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"of New":    made.Text(),
		"argon2id":  cheapHash(t),
		"bcrypt 2a": bcryptOf(t, "secret"),
		"bcrypt 2y": "$2y" + bcryptOf(t, "secret")[3:],
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if !h.Matches("secret") || h.Matches("Secret") || h.Matches("") {
				t.Error("the hash matches another password, or not its own")
			}
		})
	}
	if decoy().Matches("") {
		t.Error("a decoy has a password")
	}
	if _, err := Parse(decoy().Text()); err != nil {
		t.Errorf("a decoy is not like other hashes: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "RdescudvJCsgt3ub+b+dWRWJTmaaJObG"
	argon2 := func(parameters string) string { return "$argon2id$v=19$" + parameters + "$" + salt + "$" + key }
	if _, err := Parse(argon2("m=65536,t=3,p=4")); err != nil {
		t.Fatal(err)
	}
	good := bcryptOf(t, "secret")
	for text, want := range map[string]string{
		"":                         "neither",
		"secret":                   "neither",
		"$apr1$abcdefgh$x":         "neither",
		"{SHA}5en6G6MezRroT3XKqkd": "neither",
		"$argon2i$v=19$m=65536,t=3,p=4$" + salt + "$" + key: "neither",
		"$2x" + good[3:]:                                          "neither",
		"$argon2id$v=16$m=65536,t=3,p=4$a$b":                      "is not valid",
		argon2("m=65536,t=3,p=4") + "=":                           "is not valid",
		argon2("m=65536,t=3,p=4,x=1"):                             "is not valid",
		argon2("m=065536,t=3,p=4"):                                "is not valid",
		argon2("m=65536,t=3"):                                     "is not valid",
		argon2("m=4095,t=3,p=1"):                                  "4095 KiB",
		argon2("m=262145,t=1,p=1"):                                "262145 KiB",
		argon2("m=4294967295,t=1,p=1"):                            "KiB",
		argon2("m=65536,t=0,p=1"):                                 "0 passes",
		argon2("m=65536,t=17,p=1"):                                "17 passes",
		argon2("m=262144,t=5,p=1"):                                "5 passes",
		argon2("m=65536,t=3,p=0"):                                 "0 lanes",
		argon2("m=65536,t=3,p=17"):                                "17 lanes",
		"$argon2id$v=19$m=65536,t=3,p=4$c29tZQ$" + key:            "salt of 4 bytes",
		"$argon2id$v=19$m=65536,t=3,p=4$" + salt + "$c29tZXNhbHQ": "key of 8",
		"$2y$15" + good[6:]:                                       "cost of 15",
		"$2y$31" + good[6:]:                                       "cost of 31",
		"$2y$03" + good[6:]:                                       "is not valid",
		good[:59]:                                                 "is not valid",
		good + "a":                                                "is not valid",
		good[:59] + ":":                                           "is not valid",
	} {
		h, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if h != (Hash{}) {
			t.Errorf("%q: got a hash and an error", text)
		}
	}
}

// TestBoundsOfAHash checks that a hash may use at most the memory that
// docs/security.md states. A hash with exactly that much is accepted. One with
// more is refused, also in a user file.
func TestBoundsOfAHash(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	if sentence := fmt.Sprintf("takes a processor and up to %d MiB", maxMemory>>10); !strings.Contains(strings.Join(strings.Fields(string(page)), " "), sentence) {
		t.Errorf("the page does not say %q", sentence)
	}
	const rest = "$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG"
	for text, ok := range map[string]bool{
		"$argon2id$v=19$m=262144,t=4,p=16" + rest: true,
		"$argon2id$v=19$m=262145,t=1,p=1" + rest:  false,
		"$argon2id$v=19$m=4096,t=16,p=1" + rest:   true,
		"$argon2id$v=19$m=4096,t=17,p=1" + rest:   false,
		"$argon2id$v=19$m=4095,t=16,p=1" + rest:   false,
		"$argon2id$v=19$m=262144,t=5,p=1" + rest:  false,
		"$2y$14" + bcryptOf(t, "secret")[6:]:      true,
		"$2y$15" + bcryptOf(t, "secret")[6:]:      false,
	} {
		if _, err := Parse(text); (err == nil) != ok {
			t.Errorf("%s: got %v, want success: %v", text, err, ok)
		}
		path := filepath.Join(t.TempDir(), "users")
		if err := os.WriteFile(path, []byte("ada:"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := ReadFile(path); (err == nil) != ok || (list != nil) != ok {
			t.Errorf("a file with %s: %v, %v", text, list, err)
		}
	}
	if parameters.Memory > maxMemory {
		t.Errorf("New asks for %d KiB", parameters.Memory)
	}
}

func TestR6_HashesDoNotPrint(t *testing.T) {
	text := cheapHash(t)
	h, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if printed := fmt.Sprintf(verb, h) + fmt.Sprintf(verb, User{"u", h}); strings.Contains(printed, text[len(text)-8:]) || !strings.Contains(printed, "argon2id") {
			t.Errorf("%s prints %s", verb, printed)
		}
	}
}

// FuzzParse checks that an accepted hash has a bounded cost, and is written as
// it was read.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{cheapHash(f), bcryptOf(f, "secret"), "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG", "$2y$14$", "$argon2id$", "$argon2id$v=1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Parse(text)
		if err != nil {
			hint := "$argon2id$v=19$m=…,t=…,p=…$salt$key" // the form that the error shows
			if len(text) > 12 && strings.Contains(strings.ReplaceAll(err.Error(), hint, ""), text) {
				t.Errorf("the error holds the text: %v", err)
			}
			return
		}
		if h.Text() != text {
			t.Errorf("%q became %q", text, h.Text())
		}
		if p, _, _, err := argon2id.DecodeHash(text); err == nil {
			if p.Memory > maxMemory || uint64(p.Memory)*uint64(p.Iterations) > maxFilled {
				t.Errorf("%q costs too much", text)
			}
		} else if cost, err := bcrypt.Cost([]byte(text)); err != nil || cost > maxCost {
			t.Errorf("%q costs too much: %v", text, err)
		}
	})
}
