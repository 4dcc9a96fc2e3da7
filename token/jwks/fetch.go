package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	maxBody       = 1 << 20 // bytes
	discoveryPath = "/.well-known/openid-configuration"
)

// A document is a successful response.
type document struct {
	body    []byte
	maxAge  time.Duration // 0: not specified
	address string        // the requested URL
}

// fetch gets the JWK Set. If its address is unknown, or if again is set, fetch
// first reads the discovery document. If only discovery fails, it uses the
// last known address.
func (k *Keys) fetch(ctx context.Context, again bool) (document, error) {
	if k.config.URL != "" {
		return k.getKeys(ctx, k.config.URL)
	}
	last := k.found.Load()
	if last == nil {
		// This leaves time for the key set.
		return k.fetchDiscovered(ctx, k.config.Timeout/2)
	}
	if !again {
		return k.getKeys(ctx, *last)
	}
	// Requests wait for this fetch, so discovery gets less time than they
	// have.
	address, unknown := k.discover(ctx, min(k.config.Timeout/4, maxWait/2))
	if unknown == nil {
		return k.getKeys(ctx, address)
	}
	d, err := k.getKeys(ctx, *last)
	if err != nil && errors.Is(unknown, context.DeadlineExceeded) {
		// The keys may have moved.
		return k.fetchDiscovered(ctx, k.config.Timeout/2)
	}
	return d, err
}

// fetchDiscovered gets the JWK Set whose address is in the discovery document.
func (k *Keys) fetchDiscovered(ctx context.Context, timeout time.Duration) (document, error) {
	address, err := k.discover(ctx, timeout)
	if err != nil {
		return document{}, err
	}
	return k.getKeys(ctx, address)
}

// getKeys gets the JWK Set from the given address.
func (k *Keys) getKeys(ctx context.Context, address string) (document, error) {
	d, err := k.get(ctx, address)
	if err != nil {
		return document{}, fmt.Errorf("key set: %w", err)
	}
	return d, nil
}

// discover returns the address of the JWK Set from the discovery document.
func (k *Keys) discover(ctx context.Context, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d, err := k.get(ctx, strings.TrimSuffix(k.config.Issuer, "/")+discoveryPath)
	if err != nil {
		return "", fmt.Errorf("discovery document: %w", err)
	}
	address, err := readDiscovery(d.body, k.config.Issuer)
	if err != nil {
		return "", fmt.Errorf("discovery document: %w", err)
	}
	u, err := url.Parse(address)
	if err != nil {
		err = errors.New("is not a URL") // the cause quotes it
	} else {
		err = k.reach.checkLed(u)
	}
	if err != nil {
		return "", fmt.Errorf("discovery document: jwks_uri is not an address that keys are fetched from (https, and public unless it is the host of the issuer): %w", err)
	}
	return address, nil
}

// readDiscovery returns the jwks_uri of a discovery document, whose issuer
// must be the given one (OpenID Connect Discovery 1.0 section 4.3).
func readDiscovery(body []byte, issuer string) (string, error) {
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &discovery); err != nil {
		return "", errors.New("not strict JSON, or a member has the wrong type")
	}
	if discovery.Issuer != issuer {
		return "", fmt.Errorf("its issuer is %.200q; if that is the provider, write it exactly like this", discovery.Issuer)
	}
	if discovery.JWKSURI == "" {
		return "", errors.New("jwks_uri is missing")
	}
	return discovery.JWKSURI, nil
}

// get fetches a document. Any status other than 200 is an error.
func (k *Keys) get(ctx context.Context, address string) (document, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return document{}, errors.New("is not a URL")
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	request.Header.Set("User-Agent", "wsauth")
	response, err := k.client.Do(request)
	if err != nil {
		return document{}, withoutURL(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return document{}, fmt.Errorf("status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	switch {
	case err != nil:
		return document{}, fmt.Errorf("body: %w", err)
	case len(body) > maxBody:
		return document{}, errors.New("longer than 1 MiB")
	}
	return document{body, maxAge(response.Header.Values("Cache-Control")), address}, nil
}

// withoutURL removes the URL from an error, because a response may have chosen
// it.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// maxAge returns the max-age of Cache-Control (RFC 9111 section 5.2.2.1), at
// most one day, or 0 if there is none.
func maxAge(lines []string) time.Duration {
	for directive := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 64)
		if err != nil {
			return 0
		}
		return time.Duration(min(seconds, 24*3600)) * time.Second
	}
	return 0
}
