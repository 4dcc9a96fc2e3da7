package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/clusterkeys"
	"wsauth/internal/keyfile"
	"wsauth/internal/sharedstore"
)

// Store configures the store: its URL if several nodes share it, its limits,
// and what happens when it does not answer. In a file, a URL may replace the
// mapping.
type Store struct {
	URL            string `yaml:"url"`
	URLFile        string `yaml:"url_file" file:""`
	MaxRevocations int    `yaml:"max_revocations" positive:""`
	MaxSessions    int    `yaml:"max_sessions" positive:""`
	MaxTickets     int    `yaml:"max_tickets" positive:""`

	Staleness time.Duration `yaml:"staleness"`
	OnStale   string        `yaml:"on_stale" enum:"close,keep"`
}

// whenStale are the values of on_stale.
var whenStale = map[string]wsauth.WhenStale{"close": wsauth.EndSockets, "keep": wsauth.KeepSockets}

// minStaleness is the minimum of staleness.
const minStaleness = 3 * time.Second

func (s *Store) read(d *decoder, key string, n *node) {
	if n.kind == text {
		s.URL = n.text
		return
	}
	d.decodeStruct(key, n, reflect.ValueOf(s).Elem())
}

// IsShared reports whether several nodes may share the store.
func (s *Store) IsShared() bool { return s.URL != "" || s.URLFile != "" }

// ReadURL returns the URL of the store, from its file if there is one.
func (s *Store) ReadURL() (string, error) {
	if s.URLFile == "" {
		return s.URL, nil
	}
	data, err := keyfile.ReadFile(s.URLFile)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if err := sharedstore.Check(text); err != nil {
		return "", fmt.Errorf("%s: %w", s.URLFile, err)
	}
	return text, nil
}

// storeEnvironment is the environment variable with the URL of the store.
const storeEnvironment = "WSAUTH_STORE"

// checkStore checks how nodes share the store and their keys.
func (b *build) checkStore() {
	s := &b.Settings
	if s.Store.Staleness < minStaleness {
		b.report("store.staleness", "%s is less than %s: the store is asked once a second", s.Store.Staleness, minStaleness)
	}
	if s.Store.URL != "" {
		if s.Store.URLFile != "" {
			b.report("store.url_file", "must not be set together with url: remove one of the two")
		}
		if err := sharedstore.Check(s.Store.URL); err != nil {
			b.report("store.url", "%v", err)
		} else if sharedstore.HasPassword(s.Store.URL) && b.source("store.url") != storeEnvironment {
			b.report("store.url", "contains a password, which others can read there: write the URL into a file that only this user can read, and name it in store.url_file, or set "+storeEnvironment)
		}
	}
	switch shared := s.Store.IsShared(); {
	case shared && s.ClusterSecretFile == "" && s.Keys == "":
		b.report("store", "the nodes that share the store need the same keys: set cluster_secret_file, so that they share keys through the store, or keys, a folder that all of them use")
	case !shared && s.ClusterSecretFile != "":
		b.report("cluster_secret_file", "has no effect without the URL of a store that several nodes share: set store, or remove the line")
	}
}

// checkStoreFiles checks that the files with the URL of the store and the
// secret of the cluster are valid.
func (b *build) checkStoreFiles() {
	if _, err := b.Settings.Store.ReadURL(); err != nil {
		b.report("store.url_file", "%v", err)
	}
	if file := b.Settings.ClusterSecretFile; file != "" {
		if _, err := clusterkeys.ReadSecret(file); err != nil {
			b.report("cluster_secret_file", "%v", err)
		}
	}
}
