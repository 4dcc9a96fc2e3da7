package admin

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/wstest"
)

// TestServe checks that Serve answers a request in progress before it returns,
// and that idle connections do not delay it.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		r := newRig(t, func(c *Config) {
			c.Reload = func(context.Context, adminapi.Reload) (adminapi.Reloaded, error) {
				<-goOn
				return adminapi.Reloaded{}, nil
			}
		})
		ctx, stop := context.WithCancel(t.Context())
		l, served := wstest.NewPipes(), make(chan error, 1)
		go func() { served <- r.api.Serve(ctx, l) }()
		idle, busy := l.Dial(""), l.Dial("")
		defer idle.Close()
		defer busy.Close()
		if _, err := io.WriteString(busy, "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop()
		synctest.Wait()
		if _, err := l.DialContext(t.Context(), "", ""); err == nil {
			t.Error("the listener still accepts connections")
		}
		close(goOn)
		if resp, err := http.ReadResponse(bufio.NewReader(busy), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("the request in progress: %v, %v", resp, err)
		}
		stopped := time.Now()
		if err := <-served; err != nil || time.Since(stopped) > stopTime {
			t.Errorf("Serve returned %v after %v", err, time.Since(stopped))
		}
	})
}
