package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/rueidis"
)

// inspect checks every server that answers, and returns an error if one of them
// is not suitable or none answers.
func (s *Store) inspect(ctx context.Context) error {
	_, err := within(ctx, s, func(ctx context.Context) (struct{}, error) {
		var mu sync.Mutex
		var faults, silent error
		answered := false
		var wg sync.WaitGroup
		for address, node := range s.client.Nodes() {
			wg.Go(func() {
				text, err := node.Do(ctx, node.B().Info().Build()).ToString()
				mu.Lock()
				defer mu.Unlock()
				switch refusal, ok := rueidis.IsRedisErr(err); {
				case ok:
					faults = errors.Join(faults, fmt.Errorf("store/redis: the server %s does not answer INFO: %w", address, refusal))
				case err != nil:
					silent = errors.Join(silent, fmt.Errorf("store/redis: the server %s: %w", address, err))
				default:
					answered = true
					faults = errors.Join(faults, s.judge(address, parseInfo(text)))
				}
			})
		}
		wg.Wait()
		if faults == nil && !answered {
			faults = silent
		}
		return struct{}{}, faults
	})
	return err
}

// parseInfo parses the answer of INFO, which may begin with the type of the
// text.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok && !strings.HasPrefix(name, "#") {
			info[name] = value
		}
	}
	return info
}

// judge returns an error if a server is not suitable. It warns about one that
// may lose confirmed changes.
func (s *Store) judge(address string, info map[string]string) error {
	version := info["redis_version"]
	if !atLeast(version, 6, 2) {
		return fmt.Errorf("store/redis: the server %s has version %.40q; at least Redis 6.2 or Valkey 7.2 is needed", address, version)
	}
	if policy := info["maxmemory_policy"]; policy != "noeviction" {
		return fmt.Errorf("store/redis: the server %s evicts keys when its memory is full (maxmemory-policy %.40s), and would forget revocations; set noeviction", address, policy)
	}
	clustered := info["cluster_enabled"] == "1"
	if clustered != s.config.Cluster {
		return fmt.Errorf("store/redis: the server %s is part of a Redis Cluster: %v, but the configuration says %v", address, clustered, s.config.Cluster)
	}
	if len(info["master_replid"]) < 16 {
		return fmt.Errorf("store/redis: the server %s does not say its replication ID, so a failover could not be noticed", address)
	}
	if info["role"] != "master" {
		if !s.config.Cluster {
			return fmt.Errorf("store/redis: the server %s is a replica", address)
		}
		return nil
	}
	replicas, _ := strconv.Atoi(info["connected_slaves"])
	if _, ok := info["min_slaves_good_slaves"]; !ok && replicas > 0 {
		s.config.Logger.Warn("store/redis: the server accepts writes while it has lost its replicas; set min-replicas-to-write", "address", address, "replicas", replicas)
	}
	if replicas > 2 && s.config.Replicas == 0 {
		s.config.Logger.Warn("store/redis: one of several replicas is enough to confirm a revocation; set the number of replicas", "address", address, "replicas", replicas)
	}
	return nil
}

// atLeast reports whether a version, such as "7.0.15", is not older than
// another one.
func atLeast(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(first)
	b, err2 := strconv.Atoi(second)
	return err == nil && err2 == nil && (a > major || a == major && b >= minor)
}
