package redis_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"wsauth/store"
	"wsauth/store/redis"
)

func ExampleOpen() {
	ctx := context.Background()
	config, err := redis.ParseURL("redis+sentinel://wsauth:secret@sentinel-1,sentinel-2,sentinel-3/main")
	if err != nil {
		log.Fatal(err)
	}
	s, err := redis.Open(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	now, err := s.Now(ctx)
	if err != nil {
		log.Fatal(err)
	}
	err = s.Revoke(ctx, store.Revocation{Target: store.TargetSubject, ID: "ann", Before: now, Expires: now.Add(time.Hour)})
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleParseURL() {
	config, err := redis.ParseURL("rediss+cluster://wsauth:p%40ss@a.example,b.example:7000?prefix=chat&timeout=500ms")
	fmt.Println(config.Cluster, config.Addresses, config.Username, config.Password, config.Prefix, config.Timeout, err)

	_, err = redis.ParseURL("redis://wsauth:secret@a.example:port")
	fmt.Println(err)
	// Output:
	// true [a.example:6379 b.example:7000] wsauth p@ss chat 500ms <nil>
	// store/redis: a port of the URL is not a number from 1 to 65535
}
