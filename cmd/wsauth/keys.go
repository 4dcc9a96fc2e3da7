package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"wsauth/token"
	"wsauth/token/keyring"
)

// A keysCmd manages the keys that sign and verify tokens.
type keysCmd struct {
	Generate keysGenerateCmd `cmd:"" help:"Add a new key."`
	List     keysListCmd     `cmd:"" help:"Print what keys there are, and what each does now."`
	Rotate   keysRotateCmd   `cmd:"" help:"Put a new key in the place of the one that signs, without ending a login."`
	Prune    keysPruneCmd    `cmd:"" help:"Remove the keys that have expired."`
	Export   keysExportCmd   `cmd:"" help:"Print the public keys, for others who verify the tokens."`
}

// Help is the text under "wsauth keys --help".
func (keysCmd) Help() string {
	return `A key is a file in a folder. A server that runs looks at the folder every two seconds. To end all that a key has signed, such as when it was stolen, add another with --lead=0s, and remove its file.`
}

// keysIn are the flags that say where the keys are.
type keysIn struct {
	Keys string `placeholder:"DIR" help:"Folder of the keys (default: keys in the folder of --data)."`
	Data string `placeholder:"DIR" help:"Data folder of the server (default: $$WSAUTH_DATA, or wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
}

// folder is the folder of the keys.
func (k keysIn) folder() (string, error) {
	if k.Keys != "" && k.Data != "" {
		return "", errors.New("--keys and --data: leave one of the two out")
	}
	data, err := folder(k.Data)
	if err != nil && k.Keys == "" {
		return "", err
	}
	return keyFolder(k.Keys, data), nil
}

// newKey are the flags of what makes a key.
type newKey struct {
	keysIn
	Alg  string        `enum:"ES256,ES384,ES512,EdDSA,RS256,RS384,RS512,PS256,PS384,PS512,HS256,HS384,HS512" default:"ES256" placeholder:"ALG" help:"Algorithm of the key (default: ${default}): ES256, ES384, ES512, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512, or with a secret, which is never published, HS256, HS384 or HS512."`
	Lead time.Duration `default:"1h" placeholder:"DURATION" help:"How long the key waits before it signs, so that everybody who fetches the published keys knows it by then (default: ${default}). It does not wait where no other can sign."`
}

// lead is what the flag says, where 0 means none and not the default.
func (k newKey) lead() time.Duration {
	if k.Lead == 0 {
		return -1
	}
	return k.Lead
}

type keysGenerateCmd struct {
	newKey
	Life time.Duration `placeholder:"DURATION" help:"How long the key counts from when it begins to sign, such as 2160h (default: until it is rotated)."`
}

// Validate checks the durations.
func (c *keysGenerateCmd) Validate() error {
	if c.Lead < 0 || c.Life < 0 {
		return errors.New("--lead and --life must not be negative")
	}
	return nil
}

// Run makes the key.
func (c *keysGenerateCmd) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	stopsItself(ctx)
	e, err := keyring.Generate(ctx, dir, keyring.GenerateOptions{Algorithm: token.Algorithm(c.Alg), Lead: c.lead(), Life: c.Life})
	if err != nil {
		return err
	}
	fmt.Printf("%s %s signs from %s\n", e.Key.ID(), e.Key.Algorithm(), written(e.NotBefore))
	return nil
}

type keysRotateCmd struct {
	newKey
	Overlap time.Duration `default:"720h1m" placeholder:"DURATION" help:"How long the old keys count after the new one begins to sign: at least --refresh-ttl of the server, or logins end early (default: ${default}, 30 days and a minute)."`
}

// Validate checks the durations.
func (c *keysRotateCmd) Validate() error {
	if c.Lead < 0 || c.Overlap <= 0 {
		return errors.New("--lead must not be negative, and --overlap must be positive; to end all that a key has signed, remove its file")
	}
	return nil
}

// Run makes the key and retires the older ones.
func (c *keysRotateCmd) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	stopsItself(ctx)
	done, err := keyring.Rotate(ctx, dir, keyring.RotateOptions{Algorithm: token.Algorithm(c.Alg), Lead: c.lead(), Overlap: c.Overlap})
	if err != nil {
		return err
	}
	fmt.Printf("%s %s signs from %s\n", done.New.Key.ID(), done.New.Key.Algorithm(), written(done.New.NotBefore))
	for _, e := range done.Retired {
		fmt.Printf("%s %s counts until %s\n", e.Key.ID(), e.Key.Algorithm(), written(e.Expires))
	}
	return nil
}

type keysPruneCmd struct {
	keysIn
	DryRun bool `help:"Print what would be removed, and remove nothing."`
}

// Run removes the files.
func (c *keysPruneCmd) Run(ctx context.Context) error {
	dir, err := c.folder()
	if err != nil {
		return err
	}
	stopsItself(ctx)
	gone, err := keyring.Prune(ctx, dir, c.DryRun)
	done := "removed"
	if c.DryRun {
		done = "would be removed"
	}
	for _, e := range gone {
		fmt.Printf("%s %s expired at %s: %s %s\n", e.Key.ID(), e.Key.Algorithm(), written(e.Expires), e.File, done)
	}
	if err == nil && len(gone) == 0 {
		fmt.Fprintln(os.Stderr, "no key has expired")
	}
	return noKeys(dir, err)
}

type keysExportCmd struct {
	keysIn
	Kid    string `placeholder:"KID" help:"Only the key with this ID (default: all that count now or will)."`
	Format string `enum:"jwks,pem" default:"jwks" placeholder:"FORMAT" help:"jwks, as the server publishes it, or pem (default: ${default})."`
}

// Run prints the public halves. A secret has none.
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

// choose are the keys with a public half that are asked for: at least one.
func (c *keysExportCmd) choose(all []*token.Key) (keys []*token.Key, err error) {
	for _, key := range all {
		asked := c.Kid == "" || key.ID() == c.Kid
		secret := strings.HasPrefix(string(key.Algorithm()), "HS")
		if asked && secret && c.Kid != "" {
			return nil, fmt.Errorf("key %q is a shared secret, which has no public half", c.Kid)
		}
		if asked && !secret {
			keys = append(keys, key)
		}
	}
	switch {
	case len(keys) > 0:
		return keys, nil
	case c.Kid != "":
		return nil, fmt.Errorf("no key %q counts now; see wsauth keys list", c.Kid)
	}
	return nil, errors.New("no key has a public half; make one: wsauth keys generate")
}

// written is a moment as people and programs read it.
func written(t time.Time) string { return t.UTC().Format(time.RFC3339) }
