package grants

import (
	"context"
	"errors"

	"jeton/dpop"
	"jeton/storage"
)

// RefuseProof turns an error of package dpop into one for the caller.
func RefuseProof(err error) error {
	bad, ok := errors.AsType[*dpop.Error](err)
	switch {
	case !ok:
		return err
	case bad.Nonce != "":
		return fail(UseDPoPNonce, bad.Description, bad)
	}
	return fail(InvalidDPoPProof, bad.Description, bad)
}

// spend uses up the proof of a request that has been found right.
func (s *Service) spend(ctx context.Context, req Request) error {
	if req.Proof == nil {
		return nil
	}
	return s.SpendProof(ctx, req.Client.Value.ID, req.Proof)
}

// SpendProof uses up a proof that a client has sent with what was found right.
func (s *Service) SpendProof(ctx context.Context, clientID string, p *dpop.Proof) error {
	return RefuseProof(s.Proofs.Spend(ctx, clientID, p))
}

// thumbprint is that of the key that the client has proved to hold.
func (r Request) thumbprint() string {
	if r.Proof == nil {
		return ""
	}
	return r.Proof.Thumbprint
}

// bind binds the next access token of a session to the client's key. A public
// client's refresh tokens are bound to it as well, for nothing else says that
// they are still with the same client (RFC 9449 §5).
func bind(ses *storage.Session, req Request) {
	ses.Access.Thumbprint = req.thumbprint()
	if req.Client.Value.Public() && req.Proof != nil {
		ses.Thumbprint = req.Proof.Thumbprint
	}
}

// confirmed is the claim cnf of a token that is bound to a key (RFC 9449 §6.1),
// nil of one that is not.
func confirmed(thumbprint string) *confirmation {
	if thumbprint == "" {
		return nil
	}
	return &confirmation{thumbprint}
}
