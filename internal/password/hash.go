package password

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Limits for the parameters of a hash. The minimums are those of old versions
// of common programs. The maximums limit the cost of a login to about a second
// and 256 MiB.
const (
	minMemory     = 4 << 10   // KiB, argon2id
	maxMemory     = 256 << 10 // KiB, argon2id
	maxPasses     = 16
	maxLanes      = 16
	maxFilled     = 1 << 20 // KiB written in all passes together
	minSalt       = 8       // bytes, RFC 9106 section 3.1
	minKey        = 16      // bytes
	maxSaltAndKey = 64      // bytes of each
	maxCost       = 14      // bcrypt, 2^14 rounds
	bcryptLength  = 60      // bytes of an encoded hash
)

// parameters are used for new hashes: the second recommended option of RFC
// 9106 section 4, for environments with limited memory.
var parameters = argon2id.Params{Memory: 64 << 10, Iterations: 3, Parallelism: 4, SaltLength: 16, KeyLength: 32}

// A Hash is the hash of a password with its parameters. Create it with [New]
// or [Parse]. Printing it shows only its kind.
type Hash struct{ text string }

// New hashes a password with argon2id.
func New(password string) (Hash, error) {
	text, err := argon2id.CreateHash(password, &parameters)
	if err != nil {
		return Hash{}, fmt.Errorf("password: %w", err)
	}
	return Hash{text}, nil
}

// decoy returns a hash that matches no known password and costs as much to
// verify as one of [New].
func decoy() Hash {
	salt, key := make([]byte, parameters.SaltLength), make([]byte, parameters.KeyLength)
	_, _ = rand.Read(salt) // never fails
	_, _ = rand.Read(key)
	return Hash{argon2Text(&parameters, salt, key)}
}

// Parse parses a hash from a user file. It refuses a hash that is too
// expensive or too cheap to verify.
func Parse(text string) (Hash, error) {
	var err error
	switch {
	case strings.HasPrefix(text, "$argon2id$"):
		err = checkArgon2(text)
	case strings.HasPrefix(text, "$2y$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2a$"):
		err = checkBcrypt(text)
	default:
		err = errors.New("the hash is neither argon2id nor bcrypt; create a new one with \"wsauth user hash\" or \"htpasswd -nB\"")
	}
	if err != nil {
		return Hash{}, err
	}
	return Hash{text}, nil
}

// Matches reports whether h is the hash of password. It takes as long as the
// parameters of h require and cannot be canceled. As in all implementations,
// bcrypt uses only the first 72 bytes of a password.
func (h Hash) Matches(password string) bool {
	if strings.HasPrefix(h.text, "$argon2id$") {
		same, err := argon2id.ComparePasswordAndHash(password, h.text)
		return err == nil && same
	}
	return bcrypt.CompareHashAndPassword([]byte(h.text), []byte(password)) == nil
}

// Text returns the hash as written in a user file.
func (h Hash) Text() string { return h.text }

// String returns the kind of the hash. It keeps hashes out of logs.
func (h Hash) String() string {
	if h.text == "" {
		return "no hash"
	}
	return "a hash of " + strings.SplitN(h.text, "$", 3)[1]
}

// GoString returns String, for %#v.
func (h Hash) GoString() string { return h.String() }

func checkArgon2(text string) error {
	p, salt, key, err := argon2id.DecodeHash(text)
	switch {
	// DecodeHash ignores what follows a number, so compare with the canonical
	// text.
	case err != nil || argon2Text(p, salt, key) != text:
		return errors.New("the argon2id hash is not valid: it must be $argon2id$v=19$m=…,t=…,p=…$salt$key")
	case p.Memory < minMemory || p.Memory > maxMemory:
		return fmt.Errorf("the argon2id hash asks for %d KiB of memory: it must be from %d to %d", p.Memory, minMemory, maxMemory)
	case p.Iterations < 1 || p.Iterations > maxPasses || uint64(p.Iterations)*uint64(p.Memory) > maxFilled:
		return fmt.Errorf("the argon2id hash asks for %d passes over %d KiB: it must be at least one, and at most %d or %d KiB in all",
			p.Iterations, p.Memory, maxPasses, maxFilled)
	case p.Parallelism < 1 || p.Parallelism > maxLanes:
		return fmt.Errorf("the argon2id hash asks for %d lanes: it must be from 1 to %d", p.Parallelism, maxLanes)
	case len(salt) < minSalt || len(salt) > maxSaltAndKey || len(key) < minKey || len(key) > maxSaltAndKey:
		return fmt.Errorf("the argon2id hash has a salt of %d bytes and a key of %d: they must be from %d and %d to %d",
			len(salt), len(key), minSalt, minKey, maxSaltAndKey)
	}
	return nil
}

// argon2Text returns the canonical text of a hash.
func argon2Text(p *argon2id.Params, salt, key []byte) string {
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism, encode(salt), encode(key))
}

func checkBcrypt(text string) error {
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil || len(text) != bcryptLength || text[6] != '$' || strings.ContainsFunc(text[7:], notOfBcrypt) {
		return errors.New("the bcrypt hash is not valid: it must be $2y$, a cost from 04, $ and 53 characters")
	}
	if cost > maxCost {
		return fmt.Errorf("the bcrypt hash asks for a cost of %d: it may be %d at most", cost, maxCost)
	}
	return nil
}

// notOfBcrypt reports whether r is not in the alphabet of bcrypt's base64.
func notOfBcrypt(r rune) bool {
	return r != '.' && r != '/' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
