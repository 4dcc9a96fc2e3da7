package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/front"
)

// metricsSocket is the FileDescriptorName of a socket for metrics and health
// checks. Sockets with other names are for clients.
const metricsSocket = "metrics"

// passedSockets holds the sockets that the service manager has opened
// (sd_listen_fds(3)). Each may be nil.
type passedSockets struct{ clients, metrics net.Listener }

// takeSockets takes the sockets over from the service manager.
func takeSockets() (p passedSockets, err error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return passedSockets{}, fmt.Errorf("sockets of the service manager: %w", err)
	}
	for name, listeners := range named {
		for _, l := range listeners {
			to := &p.clients
			if name == metricsSocket {
				to = &p.metrics
			}
			if l == nil {
				return passedSockets{}, fmt.Errorf("the service manager passes a socket %q that does not listen: it must be a stream socket with Accept=no", name)
			}
			if *to != nil {
				return passedSockets{}, fmt.Errorf("the service manager passes two sockets of the same kind: it may pass one for clients, and one with FileDescriptorName %q for metrics", metricsSocket)
			}
			*to = l
		}
	}
	if p.clients != nil {
		err = front.Adopt(p.clients)
	}
	return p, err
}

// notify tells the service manager, if there is one, the state of the server
// (sd_notify(3)).
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify the service manager", "error", err)
	}
}

// notifyReloading tells the service manager that files are being read, until
// done is called.
func notifyReloading(log *slog.Logger) (done func()) {
	notify(log, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
	return func() { notify(log, daemon.SdNotifyReady) }
}

// notifyStopping tells the service manager, when ctx is done, that the server
// is stopping and how long that may take. If ctx is already done, stop waits
// until the manager has been told.
func notifyStopping(ctx context.Context, log *slog.Logger, drain time.Duration) (stop func()) {
	notified := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(notified)
		notify(log, fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, (drain+5*time.Second).Microseconds()))
	})
	return func() {
		if !cancel() {
			<-notified
		}
	}
}

// keepAlive sends watchdog notifications to the service manager, at a third of
// the interval that it requires, until stop is called. Before each, it calls
// the gateway. If that call hangs, no notification is sent.
func keepAlive(g *gateway.Gateway, log *slog.Logger) (stop func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var notifying sync.WaitGroup
	notifying.Go(func() {
		tick := time.NewTicker(every / 3)
		defer tick.Stop()
		for {
			_ = g.Ready() // a server that is not ready is still alive
			notify(log, daemon.SdNotifyWatchdog)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		notifying.Wait()
	}
}
