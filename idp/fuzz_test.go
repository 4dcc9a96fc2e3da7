package idp

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"wsauth/token"
)

// FuzzStatement checks that a provider can end only sessions in its own
// namespace, whatever it signs, and that every revocation is valid. It also
// checks that a refused statement is reported as an error in the statement, not
// as a failure of this server.
func FuzzStatement(f *testing.F) {
	p, s := keycloak(f)
	byEmail := must(New(Config{Preset: Keycloak, Issuer: realm, Audience: []string{"chat"}, ClientIDs: []string{"web"}, Namespace: "kc", Keys: s.keys(), Subject: "email"}))
	user := claims{"format": "iss_sub", "iss": realm, "sub": "ada"}
	session := claims{"format": "opaque", "id": "s1"}
	seeds := []claims{
		logoutToken(), with(logoutToken(), claims{"sid": nil}), with(logoutToken(), claims{"events": claims{logoutEvent: nil}}),
		eventToken(user, claims{caep + "session-revoked": claims{"event_timestamp": 1}}),
		eventToken(claims{"format": "complex", "user": user, "session": session}, claims{caep + "credential-change": claims{}}),
		eventToken(nil, claims{caep + "session-revoked": claims{"subject": session}}),
		with(logoutToken(), claims{"email": "ada@x.example", "sid": nil}), with(logoutToken(), claims{"email": 7}),
		eventToken(claims{"format": "email", "email": "ada@x.example"}, claims{caep + "session-revoked": claims{}}),
		eventToken(claims{"format": "opaque", "id": strings.Repeat("a", 300)}, claims{caep + "session-revoked": claims{"event_timestamp": 1e18}}),
		with(logoutToken(), claims{"events": claims{logoutEvent: claims{}, "revoke_offline_access": true, "x": claims{"subject": 1}}}),
		eventToken(user, claims{caep + "session-revoked": claims{"event_timestamp": 1.5}, "x": nil, "y": claims{"event_timestamp": "z"}}),
		eventToken(nil, claims{caep + "session-revoked": claims{"subject": claims{"subject_type": "iss-sub", "iss": realm, "sub": "ada"}}}),
		eventToken(claims{"format": "complex", "user": claims{"format": "complex", "user": user}}, claims{caep + "session-revoked": claims{}}),
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, seed := range seeds {
		f.Add(string(must(json.Marshal(seed))))
	}
	f.Fuzz(func(t *testing.T, payload string) {
		for typ, verify := range map[string]func(context.Context, string) (Ending, error){
			"logout+jwt": p.Logout, "secevent+jwt": p.Event, "JWT": byEmail.Logout, "SECEVENT+JWT": byEmail.Event,
		} {
			e, err := verify(context.Background(), s.signText(`{"alg":"RS256","kid":"k","typ":"`+typ+`"}`, payload))
			if err != nil {
				_, refused := errors.AsType[*token.Error](err)
				if !refused && !errors.Is(err, ErrNotLogout) && !errors.Is(err, ErrSubject) || len(e.Revocations) > 0 {
					t.Errorf("%s: got %v, %v", payload, e, err)
				}
				continue
			}
			for _, r := range e.Revocations {
				if _, err := r.Canonical(); err != nil || !strings.HasPrefix(r.ID, "kc|") || len(r.ID) == len("kc|") {
					t.Errorf("%s: ends %v %q: %v", payload, r.Target, r.ID, err)
				}
			}
		}
	})
}
