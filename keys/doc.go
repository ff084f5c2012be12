// Package keys holds the key ring: the keys that sign what Jeton issues, from
// the day they are published to the day the last token under them is dead.
//
// A [Ring] has keys of several uses. Keys of [UseSig] sign access tokens and
// are published as a JWK Set, those of [UseStatus] for status lists with them;
// a next one of each always exists, so that every verifier knows it before it
// signs. Keys of [UseRefresh] authenticate refresh tokens and are never
// published. Which key signs follows from the times in the
// records and the store's time alone, so all nodes agree without talking to
// each other, and every change of the ring is one commit that checks the
// ring's own row: of two nodes that change it at once, one does.
//
// A [MasterKey] seals secrets that rest in the store. [CheckCompact] is the
// strict look at the outside of a JWT, from whomever it comes, and [JWK] a
// public key of somebody else.
//
// What a token says, when it expires and whether it has been revoked is left
// to package grants; publishing the JWK Set over HTTP to package wellknown.
package keys
