package grants

import (
	"context"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
)

// typID is the typ header of ID tokens: nothing else that is signed here has it.
const typID = "JWT"

// Hint is what an ID token of this server says, taken as a hint: its age does
// not matter, and it proves no right to anything.
type Hint struct{ Subject, ClientID, SessionID string }

// IDTokenHint reads an id_token_hint; ok is false for what is not an ID token of
// this server.
func (s *Service) IDTokenHint(ctx context.Context, token string) (h Hint, ok bool, err error) {
	if token == "" {
		return h, false, nil
	}
	var c struct {
		jwt.RegisteredClaims
		SessionID string `json:"sid"`
	}
	if err := s.Keys.Parse(ctx, s.Now(), keys.UseSig, token, typID, &c); err != nil {
		return h, false, refuseDead(err, unknownToken)
	}
	if c.Issuer != s.Settings.Issuer || len(c.Audience) != 1 {
		return h, false, nil
	}
	return Hint{c.Subject, c.Audience[0], c.SessionID}, true, nil
}

// hinted is the user that the request's id_token_hint names, "" when there is
// none, or it is not one of this client's.
func (s *Service) hinted(ctx context.Context, a AuthorizeRequest) (sub string, err error) {
	h, ok, err := s.IDTokenHint(ctx, a.IDTokenHint)
	if err != nil || !ok || h.ClientID != a.Client.Value.ID {
		return "", err
	}
	return h.Subject, nil
}
