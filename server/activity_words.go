package server

import (
	"jeton/events"
	"jeton/storage"
)

// told are the types of events that users are shown, in the words of
// [eventWords].
var told = []string{
	events.SessionStarted, events.SessionEnded, events.SessionsEnded, events.BindingMismatch, events.SignedIn, events.SignedOut,
	events.ConsentGranted, events.ConsentRevoked, events.DeviceAllowed, events.PasswordChanged, events.PasswordReset, events.ResetLinkMade,
	events.UserCreated, events.UserDisabled, events.UserEnabled, events.RolesChanged, events.ClaimsChanged, events.AccountCompromised,
}

// eventWords say in a sentence what an event is to the user whom it is about.
func eventWords(h storage.Event, client string) string {
	mine := h.Actor == h.Subject
	switch h.Type {
	case events.SessionStarted:
		return "You signed in to " + client
	case events.SessionEnded:
		return "A session of " + client + " ended" + because(h.Reason, mine)
	case events.SessionsEnded:
		return "Sessions ended, all or all but those on one device" + because(h.Reason, mine)
	case events.BindingMismatch:
		return client + " was used from another browser or network than before"
	case events.SignedIn:
		return "You signed in at these pages"
	case events.SignedOut:
		return "You signed out of these pages"
	case events.ConsentGranted:
		return "You allowed " + client + " access"
	case events.DeviceAllowed:
		return "You let a device in to " + client
	case events.ConsentRevoked:
		return byWhom(mine, "You disconnected "+client, client+" was disconnected")
	case events.PasswordChanged:
		return byWhom(mine, "You changed your password", "An application told of a new password")
	case events.PasswordReset:
		return byWhom(mine, "You set a new password by a link", "Your password was set by somebody who runs this service")
	case events.ResetLinkMade:
		return byWhom(h.Actor == "server", "Somebody asked for a link to set a new password, and it was mailed to you",
			"A link to set a new password was made by somebody who runs this service")
	case events.UserCreated:
		return "Your account was made"
	case events.UserDisabled:
		return "Your account was disabled"
	case events.UserEnabled:
		return "Your account was enabled"
	case events.RolesChanged:
		return "Your roles were changed"
	case events.ClaimsChanged:
		return "What is known about you was changed"
	case events.AccountCompromised:
		return "An application reported that others use your account"
	}
	return h.Type
}

func byWhom(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// because says why sessions ended, as the end of a sentence.
func because(reason string, mine bool) string {
	switch reason {
	case storage.ReasonUser:
		return ": you ended it here"
	case storage.ReasonRevoked, storage.ReasonLogout, storage.ReasonSignedOut:
		return ": you signed out"
	case storage.ReasonConsentRevoked:
		return byWhom(mine, ": you disconnected the application", ": the application was disconnected")
	case storage.ReasonReuse, storage.ReasonCodeReplay:
		return ": a copy of its token was used"
	case storage.ReasonBinding:
		return ": it was used from another browser or network"
	case storage.ReasonPasswordChanged, storage.ReasonPasswordReset:
		return ": the password is a new one"
	case storage.ReasonRolesChanged:
		return ": your roles were changed"
	case storage.ReasonUserDisabled:
		return ": your account was disabled"
	case storage.ReasonCompromised:
		return ": others were reported to use your account"
	case storage.ReasonSessionLimit:
		return ": a newer one took its place"
	case storage.ReasonOperator, storage.ReasonGlobal:
		return ": those who run this service ended it"
	case storage.ReasonClientDisabled, storage.ReasonClientDeleted, storage.ReasonClientChanged, storage.ReasonSecretChanged, storage.ReasonLeaked:
		return ": the application was changed"
	}
	return ""
}
