package storage

import "time"

// SignIn is one browser in which a user has signed in at the pages of this
// server. It lives in [UserPartition] of Subject, under the hash of what the
// browser's cookie holds. Sessions of clients come from it and outlive it.
type SignIn struct {
	ID      string `json:"id"`
	Subject string `json:"sub"`
	// Browser stays the same while the same user signs in again in the same
	// browser, which changes ID: it is what sessions and codes remember.
	Browser string `json:"browser"`

	AMR      []string  `json:"amr"`
	ACR      string    `json:"acr"`
	AuthTime time.Time `json:"auth_time"`
	Created  time.Time `json:"created"`
	Used     time.Time `json:"used"`
	// End is the absolute end; the idle end is the expiry of the row.
	End time.Time `json:"end"`

	UserEpoch   uint64 `json:"user_epoch,omitempty"`
	SystemEpoch uint64 `json:"system_epoch,omitempty"`

	// LoginFor and ChosenFor name the authorization request for which the user
	// has just signed in, or said that this account is the right one: they
	// answer its prompt once.
	LoginFor  string `json:"login_for,omitempty"`
	ChosenFor string `json:"chosen_for,omitempty"`

	Device Device `json:"device"`
}

// AuthorizationCode is a code that has not been redeemed. It lives in
// [UserPartition] of Subject, under its hash, and the commit that makes a
// session of it deletes it.
type AuthorizationCode struct {
	ID          string   `json:"id"`
	Subject     string   `json:"sub"`
	ClientID    string   `json:"client_id"`
	RedirectURI string   `json:"redirect_uri"`
	Challenge   string   `json:"code_challenge"`
	Scope       string   `json:"scope,omitempty"`
	Resource    []string `json:"resource,omitempty"`
	Nonce       string   `json:"nonce,omitempty"`
	// Thumbprint is that of the key with which alone it is redeemed.
	Thumbprint string `json:"dpop_jkt,omitempty"`

	AuthTime time.Time `json:"auth_time"`
	AMR      []string  `json:"amr,omitempty"`
	ACR      string    `json:"acr,omitempty"`
	// Browser is that of the [SignIn] it came from.
	Browser string `json:"browser"`

	UserEpoch   uint64    `json:"user_epoch,omitempty"`
	ClientEpoch uint64    `json:"client_epoch,omitempty"`
	SystemEpoch uint64    `json:"system_epoch,omitempty"`
	Expires     time.Time `json:"exp"`
}

// Consent is what a user has allowed a client. It lives in [UserPartition] of
// Subject, under the client's id.
type Consent struct {
	Subject  string   `json:"sub"`
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scopes"`
	// ClientCreated tells the client from a later one of the same id.
	ClientCreated time.Time `json:"client_created"`
	Granted       time.Time `json:"granted"`
	Updated       time.Time `json:"updated"`
}

// UsedPush is the note that a pushed request has had its answer. It lives in
// [ClientPartition] of the client, under the request's id.
type UsedPush struct {
	// Browser is that of the [SignIn] that was answered.
	Browser string    `json:"browser"`
	At      time.Time `json:"at"`
}

// LogoutNotice is the note that a client has to be told of a session that has
// ended. It lives in [UserPartition] of Subject.
type LogoutNotice struct {
	Subject   string    `json:"sub"`
	SessionID string    `json:"sid"`
	ClientID  string    `json:"client_id"`
	Tries     int       `json:"tries,omitempty"`
	Due       time.Time `json:"due"`
}

// LogoutPut is the row of a notice.
func LogoutPut(n LogoutNotice) Put {
	return Put{
		Key: Key{KindLogout, n.SessionID}, Value: Encode(n), Expires: n.Due.Add(Day),
		Index: []Entry{{IndexLogouts, n.Due.UTC().Format("20060102150405") + n.SessionID}},
	}
}

// SignInKey, CodeKey, ConsentKey and UsedPushKey name the rows of those records.
func SignInKey(id string) Key        { return Key{KindSignIn, id} }
func CodeKey(id string) Key          { return Key{KindCode, id} }
func ConsentKey(clientID string) Key { return Key{KindConsent, clientID} }
func UsedPushKey(id string) Key      { return Key{KindUsedPush, id} }

// LetInPut notes that a user has let a client in otherwise than by a consent. Each
// changes the row, so that who takes back what the client has conflicts with what
// comes in between.
func LetInPut(clientID string, until time.Time) Put {
	return Put{Key: LetInKey(clientID), Value: []byte("{}"), Expires: until}
}

// LetInKey names that row, in [UserPartition].
func LetInKey(clientID string) Key { return Key{KindLetIn, clientID} }

// The kinds of those rows, and the indexes that list them within a user.
const (
	KindSignIn   = "signin"
	KindCode     = "code"
	KindConsent  = "consent"
	KindLetIn    = "letin"
	KindUsedPush = "push"
	KindLogout   = "logout"

	IndexSignIns  = "signins"  // sign-ins by browser
	IndexCodes    = "codes"    // codes by browser, and approvals of devices
	IndexConsents = "consents" // consents by client
	IndexLogouts  = "logouts"  // notices of all users, by when they are due
)
