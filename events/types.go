package events

import "slices"

// Types returns the names of all types of events, for those who choose among
// them.
func Types() []string { return slices.Clone(types) }

var types = []string{
	SessionStarted, SessionEnded, SessionsEnded, TokenRevoked, TokensRevoked, ResponseLost, BindingMismatch, LostWrite,
	SignedIn, SignedOut, ConsentGranted, ConsentRevoked, DeviceAllowed, DeviceDenied, PasswordChanged, PasswordReset, ResetLinkMade,
	UserCreated, UserDisabled, UserEnabled, UserDeleted, RolesChanged, ClaimsChanged,
	ClientCreated, ClientChanged, ClientSecretChanged, ClientDisabled, ClientEnabled, ClientDeleted, RegistrationTokenAdded, RegistrationTokenRevoked,
	KeyRotated, KeyImported, KeyRemoved, MasterKeyChanged,
	Logout, AccountDisabled, AccountCompromised, ClientCompromised,
	StoreRestored, DeadLettersDropped,
}
