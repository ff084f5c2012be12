// Package verify is for API authors: it checks the access tokens of a Jeton
// server, locally and at each request, and refuses a token within a second of
// its revocation.
//
//	api, err := verify.New(verify.Options{
//		Issuer:   "https://auth.example.com",
//		Audience: []string{"https://api.example.com"},
//	})
//	...
//	defer api.Close()
//	mux.Handle("GET /orders", api.Require(verify.Scopes("orders:read"))(orders))
//
// A handler behind [Verifier.Require] finds the [Token] by [FromContext].
// Outside net/http, [Verifier.Verify] takes the token itself.
//
// # What is checked
//
// The signature, by a key that the issuer publishes (RFC 8414, RFC 7517), by
// the one algorithm of that key. The rules of RFC 9068: typ at+jwt, issuer and
// audience, times, the claims that have to be there. And the token's bit in
// the issuer's status list (IETF Token Status List): lists are kept in memory
// and followed by requests that wait for a change (Prefer: wait, RFC 7240), one
// for each list in use, so no request to the API waits for the issuer.
//
// A token that is bound to a key (DPoP, RFC 9449) is taken with a proof of that
// key only: for this request and this token, a minute old at most, and once.
//
// # When the issuer is away
//
// Tokens are judged by what is known until that is [Options.StaleAfter] old,
// counted from the last answer of the issuer. Then they are refused, with 503
// and not 401: it is not the token's fault, and a client that took it for one
// would log its user out. [Options.WhenStale] can decide otherwise. Everything
// recovers by itself, also when the issuer was away at the start.
//
// # What is left to others
//
// What a token may do beyond scopes and roles, and CORS. Tokens that are bound by
// mutual TLS are refused, since certificates are not looked at here. The package imports nothing but the standard library.
package verify
