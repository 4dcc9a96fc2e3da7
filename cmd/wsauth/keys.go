package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth/internal/server"
	"wsauth/token"
	"wsauth/token/keyring"
)

// A keysCmd manages the keys that sign and verify tokens.
type keysCmd struct {
	Generate keysGenerateCmd `cmd:"" help:"Add a new key."`
	List     keysListCmd     `cmd:"" help:"List the keys and their states."`
	Rotate   keysRotateCmd   `cmd:"" help:"Replace the signing key without ending sessions."`
	Prune    keysPruneCmd    `cmd:"" help:"Remove expired keys."`
	Export   keysExportCmd   `cmd:"" help:"Print the public keys, for other verifiers."`
}

// Help returns the text of "wsauth keys --help".
func (keysCmd) Help() string {
	return `Each key is a file in a folder. A running server reads the folder every two seconds. To invalidate everything that a key has signed, for example because the key was stolen, generate another one with --lead=0s, and then remove the file of the stolen key.`
}

// keysIn are the flags that locate the keys.
type keysIn struct {
	Keys string `placeholder:"DIR" help:"Folder of the keys (default: keys in the folder of --data)."`
	Data string `placeholder:"DIR" help:"Data folder of the server (default: $$WSAUTH_DATA, or wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
}

// folder returns the key folder.
func (k keysIn) folder() (string, error) {
	if k.Keys != "" && k.Data != "" {
		return "", errors.New("--keys and --data: remove one of the two")
	}
	data, err := server.DataFolder(k.Data)
	if err != nil && k.Keys == "" {
		return "", err
	}
	return server.KeyFolder(k.Keys, data), nil
}

// newKey are the flags of the commands that generate a key.
type newKey struct {
	keysIn
	Alg  string        `enum:"ES256,ES384,ES512,EdDSA,RS256,RS384,RS512,PS256,PS384,PS512,HS256,HS384,HS512" default:"ES256" placeholder:"ALG" help:"Algorithm of the key (default: ${default}): ES256, ES384, ES512, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512, or, with a secret that is never published, HS256, HS384 or HS512."`
	Lead time.Duration `default:"1h" placeholder:"DURATION" help:"How long the key waits before it signs, so that all verifiers can fetch it first (default: ${default}). It does not wait if no other key can sign."`
}

// leadTime returns the lead in the form of package keyring, in which 0 means
// the default, and a negative value no lead.
func (k newKey) leadTime() time.Duration {
	if k.Lead == 0 {
		return -1
	}
	return k.Lead
}

type keysGenerateCmd struct {
	newKey
	Life time.Duration `placeholder:"DURATION" help:"How long the key is valid after it begins to sign, such as 2160h (default: until it is rotated)."`
}

// Validate checks the durations.
func (c *keysGenerateCmd) Validate() error {
	if c.Lead < 0 || c.Life < 0 {
		return errors.New("--lead and --life must not be negative")
	}
	return nil
}

// Run generates the key.
func (c *keysGenerateCmd) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	stopsItself(ctx)
	e, err := keyring.Generate(ctx, dir, keyring.GenerateOptions{Algorithm: token.Algorithm(c.Alg), Lead: c.leadTime(), Life: c.Life})
	if err != nil {
		return err
	}
	fmt.Printf("%s %s signs from %s\n", e.Key.ID(), e.Key.Algorithm(), rfc3339(e.NotBefore))
	return nil
}

type keysListCmd struct {
	keysIn
	JSON bool `help:"Print JSON, for programs."`
}

// A listedKey is a key in the output. Dates that are not set are empty.
type listedKey struct {
	Kid   string `json:"kid"`
	Alg   string `json:"alg"`
	State string `json:"state"`
	From  string `json:"not_before,omitempty"`
	Until string `json:"expires,omitempty"`
	File  string `json:"file"`
}

// Run prints the keys, newest first.
func (c *keysListCmd) Run() error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	entries, err := keyring.List(dir)
	if err != nil {
		return noKeys(dir, err)
	}
	list := make([]listedKey, len(entries))
	for i, e := range entries {
		list[i] = listedKey{Kid: e.Key.ID(), Alg: string(e.Key.Algorithm()), State: string(keyring.StateOf(entries, i, time.Now())), File: e.File}
		if !e.NotBefore.IsZero() {
			list[i].From = rfc3339(e.NotBefore)
		}
		if !e.Expires.IsZero() {
			list[i].Until = rfc3339(e.Expires)
		}
	}
	if c.JSON {
		return json.MarshalWrite(os.Stdout, list, jsontext.Multiline(true))
	}
	if len(list) == 0 {
		fmt.Fprintf(os.Stderr, "no keys in %s; generate one: wsauth keys generate --keys=%s\n", dir, dir)
		return nil
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KID\tALG\tSTATE\tSIGNS FROM\tVALID UNTIL\tFILE")
	for _, k := range list {
		fmt.Fprintf(table, "%q\t%s\t%s\t%s\t%s\t%q\n", k.Kid, k.Alg, k.State, orDash(k.From), orDash(k.Until), k.File)
	}
	return table.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type keysRotateCmd struct {
	newKey
	Overlap time.Duration `default:"720h1m" placeholder:"DURATION" help:"How long the old keys stay valid after the new one begins to sign: at least --refresh-ttl of the server, or sessions end early (default: ${default}, 30 days and a minute)."`
}

// Validate checks the durations.
func (c *keysRotateCmd) Validate() error {
	if c.Lead < 0 || c.Overlap <= 0 {
		return errors.New("--lead must not be negative, and --overlap must be positive; to invalidate everything that a key has signed, remove its file")
	}
	return nil
}

// Run generates the key and retires the older ones.
func (c *keysRotateCmd) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	stopsItself(ctx)
	made, retired, err := keyring.Rotate(ctx, dir, keyring.RotateOptions{Algorithm: token.Algorithm(c.Alg), Lead: c.leadTime(), Overlap: c.Overlap})
	if err != nil {
		return err
	}
	fmt.Printf("%s %s signs from %s\n", made.Key.ID(), made.Key.Algorithm(), rfc3339(made.NotBefore))
	for _, e := range retired {
		fmt.Printf("%s %s is valid until %s\n", e.Key.ID(), e.Key.Algorithm(), rfc3339(e.Expires))
	}
	return nil
}

type keysPruneCmd struct {
	keysIn
	DryRun bool `help:"Print what would be removed, without removing it."`
}

// Run deletes the files.
func (c *keysPruneCmd) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	stopsItself(ctx)
	expired, err := keyring.Prune(ctx, dir, c.DryRun)
	done := "removed"
	if c.DryRun {
		done = "would be removed"
	}
	for _, e := range expired {
		fmt.Printf("%s %s expired at %s: %s %s\n", e.Key.ID(), e.Key.Algorithm(), rfc3339(e.Expires), e.File, done)
	}
	if err == nil && len(expired) == 0 {
		fmt.Fprintln(os.Stderr, "no key has expired")
	}
	return noKeys(dir, err)
}

type keysExportCmd struct {
	keysIn
	Kid    string `placeholder:"KID" help:"Only the key with this ID (default: all keys that are or will be valid)."`
	Format string `enum:"jwks,pem" default:"jwks" placeholder:"FORMAT" help:"jwks, as published by the server, or pem (default: ${default})."`
}

// Run prints the public keys. HMAC secrets are omitted.
func (c *keysExportCmd) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	ring, err := keyring.Open(dir, keyring.Options{})
	if err != nil {
		return noKeys(dir, err)
	}
	set, err := ring.KeySet(ctx, c.Kid)
	if err != nil {
		return err
	}
	keys, err := c.choose(set.Keys())
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if c.Format == "jwks" {
		chosen, err := token.NewKeySet(keys...)
		if err != nil {
			return err
		}
		fmt.Println(string(chosen.PublicJWKS()))
		return nil
	}
	for _, key := range keys {
		text, err := key.PublicPEM()
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// choose returns the requested keys that have a public half. It fails if there
// are none.
func (c *keysExportCmd) choose(all []*token.Key) (keys []*token.Key, err error) {
	for _, key := range all {
		isRequested := c.Kid == "" || key.ID() == c.Kid
		secret := strings.HasPrefix(string(key.Algorithm()), "HS")
		if isRequested && secret && c.Kid != "" {
			return nil, fmt.Errorf("key %q is a shared secret, which has no public half", c.Kid)
		}
		if isRequested && !secret {
			keys = append(keys, key)
		}
	}
	switch {
	case len(keys) > 0:
		return keys, nil
	case c.Kid != "":
		return nil, fmt.Errorf("no key %q is valid now; see wsauth keys list", c.Kid)
	}
	return nil, errors.New("no key has a public half; generate one: wsauth keys generate")
}

// rfc3339 formats a time for people and programs.
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
