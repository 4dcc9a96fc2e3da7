package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"wsauth/gateway"
)

// metricsSocket is the FileDescriptorName of a socket for figures and health; one of any other name is for clients.
const metricsSocket = "metrics"

// passed are the sockets that the service manager has opened (sd_listen_fds(3)); nil where it has not.
type passed struct{ clients, metrics net.Listener }

func passedSockets() (p passed, err error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return passed{}, fmt.Errorf("sockets of the service manager: %w", err)
	}
	for name, listeners := range named {
		for _, l := range listeners {
			to := &p.clients
			if name == metricsSocket {
				to = &p.metrics
			}
			if l == nil {
				return passed{}, fmt.Errorf("the service manager passes a socket %q on which one cannot listen: it must have Accept=no and be a stream", name)
			}
			if *to != nil {
				return passed{}, fmt.Errorf("the service manager passes two sockets of one kind: one may be called %q with FileDescriptorName, for figures, and one be for clients", metricsSocket)
			}
			*to = l
		}
	}
	if p.clients != nil {
		err = gateway.Adopt(p.clients)
	}
	return p, err
}

// tell tells the service manager, if there is one, how the server is (sd_notify(3)).
func tell(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot tell the service manager how the server is", "err", err)
	}
}

// tellReloading says that the configuration is being read, until done is called.
func tellReloading(log *slog.Logger) (done func()) {
	tell(log, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
	return func() { tell(log, daemon.SdNotifyReady) }
}

// tellEnding tells the service manager, when ctx is done, that the server ends
// and how long that may take. If ctx is done, stop returns when that was told.
func tellEnding(ctx context.Context, log *slog.Logger, drain time.Duration) (stop func()) {
	told := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(told)
		tell(log, fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, (drain+5*time.Second).Microseconds()))
	})
	return func() {
		if !cancel() {
			<-told
		}
	}
}

// keepAlive tells the service manager that the server is alive, as often as that wants to hear it, until stop is called. It asks the
// gateway first: where that hangs, nothing is told.
func keepAlive(g *gateway.Gateway, log *slog.Logger) (stop func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var beating sync.WaitGroup
	beating.Go(func() {
		tick := time.NewTicker(every / 3)
		defer tick.Stop()
		for {
			_ = g.Ready() // one that is not ready is alive
			tell(log, daemon.SdNotifyWatchdog)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		beating.Wait()
	}
}
