package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"wsauth/internal/config"
)

// onChange calls reload when one of the watched files has changed and at each SIGHUP, until ctx is done or stop is called, which returns
// when that has ended.
func onChange(ctx context.Context, reload func(), watchers ...*config.Watcher) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	changes := make(chan struct{})
	var running sync.WaitGroup
	for _, w := range watchers {
		running.Go(func() {
			w.Run(ctx, func() {
				select {
				case changes <- struct{}{}:
				case <-ctx.Done():
				}
			})
		})
	}
	running.Go(func() {
		for {
			select {
			case <-hangups:
			case <-changes:
			case <-ctx.Done():
				return
			}
			reload()
		}
	})
	return func() {
		signal.Stop(hangups)
		cancel()
		running.Wait()
	}
}
