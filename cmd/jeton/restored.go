package main

import (
	"fmt"
	"strings"
	"time"
)

// tell says what was done, what that means, and what is left to do.
func (d restored) tell(out *output) error {
	if out.json {
		return out.writeJSON(d)
	}
	of := d.Of.Format(time.RFC3339)
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if d.Forgotten == "" {
		say("%s goes on as it was: it is sound, and newer than %s (of %s); nothing that happened since is undone", d.File, d.From, of)
		say("users deleted since are back, disabled (jeton user enable lets them in): %s", names(d.Users))
		say("clients deleted since are back, disabled (jeton client enable): %s", names(d.Clients))
		if len(d.Taken) > 0 {
			say("these stay deleted, because their names have been given again: %s", names(d.Taken))
		}
		say("to go back to %s in all: jeton store restore --forget-newer %s", of, d.From)
	} else {
		say("%s is as it was at %s, restored from %s", d.File, of, d.From)
		say("what happened after that is not known (%s), therefore:", d.Forgotten)
		if d.Sessions == "ended" {
			say("- all sessions have ended (reason store_restored): everyone logs in again")
		} else {
			say("- the sessions of the backup go on: one that was revoked after %s lives again, and a refresh token that was spent since can be used once more by whoever has it; a client that has refreshed since logs in again", of)
		}
		say("- no token of before is accepted: the keys are new, and status lists of before say that all is revoked; an API that reads no status lists believes the key set it has for up to 5 minutes")
		say("- users, passwords, roles and clients are those of %s: what was disabled, deleted or changed since is to be done again", of)
	}
	if d.Replaced != "" {
		say("the store that was there is kept as %s: remove it when you are sure", d.Replaced)
	}
	_, err := fmt.Fprint(out.w, b.String())
	return err
}

func names(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	shown := make([]string, 0, len(list))
	for _, name := range list[:min(len(list), 50)] {
		shown = append(shown, printable(name))
	}
	text := strings.Join(shown, ", ")
	if more := len(list) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more (--json names all)", more)
	}
	return text
}
