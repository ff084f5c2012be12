package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// long is what `jeton help COMMAND` says beyond the one line, to somebody who
// types it for the first time: what the words after the command are, what the
// act ends, and what comes next.
var long = map[string]string{
	"user": `NAME is the login name, or sub: and the id by which tokens name the user, as in
sub:248289761001.`,
	"user add": `Add a user NAME. Nobody else may have that name, in upper or lower case. The
password is read from standard input, since others on the machine may see a
command line; it has 15 characters or more and is not one that everybody knows.`,
	"user list": `List all users, by name.`,
	"user show": `Show one user. NAME is the login name, or sub:ID.`,
	"user reset-link": `NAME is the user. The link is shown once; hand it over yourself. Whoever opens it
sets a new password, once and within a day, also for a user who never had one.
That ends all sessions, unless the setting on-password-reset says otherwise.`,

	"user passwd": `Give the user NAME the password that is read from standard input. All sessions of
the user end, unless the setting on-password-reset says otherwise.`,
	"user roles": `Give the user NAME these roles and no others. Tokens with a role that is lost stop
working at once, and one that is gained comes with the next refresh, unless the
settings on-roles-lost and on-roles-gained say otherwise.`,
	"user claims": `Replace all that ID tokens and /userinfo tell of the user NAME.`,
	"user disable": `End all sessions of the user NAME and let nobody in by that name until
jeton user enable.`,
	"user enable": `Let the user NAME log in again. Sessions that ended stay ended.`,
	"user delete": `End all sessions of the user NAME and forget name, password, roles and claims. It
cannot be undone, and the id of the user (sub) is never given to anybody again.
--dry-run says before how many sessions end with it.`,
	"user import": `Add a user for each line of FILE, - for standard input. A line is a JSON object with
username, and sub, roles, claims, password_hash and disabled where there are. A
hash is one of argon2, bcrypt, scrypt or PBKDF2. A line that cannot be taken is
told with its number, the others go on, and the exit code is 1 at the end.`,

	"client": `ID is the client_id by which the program names itself.`,
	"client add": `Add a client ID. It is one that can keep a secret, which is made and shown once,
unless it is --public (a page in a browser, an app on a phone), brings its own
secret (--secret-stdin) or signs with a key (--jwks, --jwks-uri).`,
	"client set": `Change what is named of the client ID, and leave the rest. An empty value clears
(--audience ''), of a flag without value it is =false (--admin=false). Tokens with a
scope or an audience that is lost stop working at once, unless the setting
on-client-narrowed says otherwise.`,
	"client list": `List all clients, by ID.`,
	"client show": `Show all there is to know of the client ID, but for the secret, of which only a
hash is kept.`,
	"client secret": `Give the client ID another secret, which is made and shown once, or read from
standard input. The old one stops working within a second; its sessions go on.`,
	"client disable": `End all sessions and all tokens of the client ID, and give it no more until
jeton client enable.`,
	"client enable": `Let the client ID ask for tokens again. What ended stays ended.`,
	"client delete": `End all sessions and all tokens of the client ID and forget it. It cannot be undone;
--dry-run says before how many sessions it ends.`,
	"client import": `Add a client for each line of FILE, - for standard input. A line is a JSON object
with client_id and the members that jeton client show --json shows, and with
client_secret, client_secret_hash, jwks or public. A line that cannot be taken is
told with its number, the others go on, and the exit code is 1 at the end.`,

	"session": `A session is one login of one user through one client. It lives for as long as it
is refreshed, and its tokens die with it.`,
	"session list": `List sessions, those that are over among them for a week. The state is live,
idle_expired (not refreshed for too long), expired (as old as it may be) or ended.`,
	"session show": `Show the session ID, which is the claim sid of its tokens: where it was used last,
and who ended it and why.`,
	"session revoke": `End sessions at once. Nothing can be refreshed any more, introspection says so
at once, and APIs that follow the status lists refuse the tokens within a second.
--user and --client together end those of the user through the client. --all also
ends the tokens that clients have for themselves. It cannot be undone; --dry-run says
before how much it is.`,

	"consent": `A consent is what a user has said yes to: that an application may have some scopes.`,
	"consent list": `List the applications that the user of --user has let in, with what they may do
and how many of their sessions live.`,
	"consent revoke": `Forget what the user of --user has agreed to for the application of --client, and end
its sessions of that user. The user is asked again when the application comes back.`,

	"key": `There are keys of three uses: sig signs access tokens, refresh those that only this
server reads, status the lists of what is revoked. KID is the name of a key.`,
	"key list": `List the key ring. A key is next (published, signs later), current (signs) or
retired (no longer signs, and verifies until the last token under it is dead).`,
	"key rotate": `Let the next signing key take over, and say when: APIs have to have fetched it
first. It happens by itself every 90 days. --now is for a key that has leaked: some
APIs may refuse new tokens for up to 5 minutes. Then take the old one away:
jeton key remove KID.`,
	"key import": `Make the private key in FILE (PEM, not encrypted, - for standard input) the next
one. It is published at once and signs after jeton key rotate.`,
	"key remove": `Take the key KID away at once. Everything that a sig key has signed is worthless
from then on, and sessions get new tokens at their next refresh. Of a refresh key
it is the sessions that cannot be refreshed: their users log in again.`,
	"key rewrap": `Change the master key, which seals all other keys, while servers run. It takes
some seconds and the time to visit all sessions. Then put the file where servers
look for the master key, and keep the old one as long as the backups of before.`,

	"webhook": `NAME is that of a webhook in the configuration file.`,
	"client registration-token": `Tokens by which programs register themselves as clients (RFC 7591), where the server
is set to let them.`,
	"client registration-token add": `Make an initial access token. NAME is what you know it by, in lists and in the audit
log; letters, digits, hyphens, underscores and dots. The token is shown this once.`,
	"client registration-token list":   `List the tokens that have not expired, and how many clients each has registered.`,
	"client registration-token revoke": `Revoke the token NAME. The clients that it has registered stay as they are.`,

	"webhook list": `List the webhooks, how many events wait for each and how many were given up. The
state is ok or failing.`,
	"webhook dead-letters": `List the events that the webhook NAME did not take and that were given up, with the
last error of each.`,
	"webhook retry": `Send dead letters of the webhook NAME again, once its receiver is mended. They come
with the jti that they had.`,
	"webhook drop": `Forget dead letters of the webhook NAME. Its receiver never hears of these events;
the audit log has them.`,

	"store": `These commands go to the store itself and not to the server. Backup, restore and
looking records over are for SQLite alone: a Redis is backed up with its own tools.`,
	"store backup": `Write the store to FILE, which must not be there yet. Servers go on meanwhile. Keep
the master key elsewhere: together the two are everything.`,
	"store restore": `Put the backup FILE in the place of the store, which no server may use meanwhile,
and keep the store that was there under another name.

Where the store in place is sound and newer than the backup, nothing that
happened since is undone: users and clients deleted since come back, disabled.
Else everything is as the backup has it, and all that may have been revoked
since is: all sessions end, and no token of before is accepted.`,
	"store check": `Look over the store, or with --store a backup: that each record can be read and
stands where it belongs, that all indexes agree, and that the master key opens all
that is sealed. Faults are named one by one, and the exit code is 1. A server goes
on meanwhile. This is for SQLite.

With --race, for every store: three servers in this process, and clients that log
in, refresh, retry and revoke at once, are let loose on the Redis or on the disk of
the store, in a space of their own that is removed at the end; then an order is
looked for in which each answer was right. Where there is none the exit code is 1,
and no store should be kept there. It is a load: choose the hour.`,

	"config": `Settings come from flags, then the environment (JETON_LISTEN for --listen), then the
file of --config, then defaults. Nothing is changed by these commands.`,
	"config print": `Show all settings in the form of a configuration file, and where each comes from.`,
	"config check": `Tell all that is wrong with the settings, with the clients, users and webhooks of
the file, and what to write instead. Exit code 2 says that something is.`,

	"serve": `Run the server until it is interrupted. The first start makes the store and the
keys. The line "listening on URL" says that it serves. SIGHUP has the file of
--config and all certificates read again. With --demo everything is thrown away at
the end, and lines to try are printed.`,
	"version": `Show the version, and what the program was built with.`,
}

// explain gives the commands their texts. A group of commands is no command, so
// its usage has no line that says how to run it.
func explain(cmd *cobra.Command) {
	if cmd.HasSubCommands() {
		cmd.SetUsageTemplate(strings.Replace(cmd.UsageTemplate(), "{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", 1))
	}
	for _, sub := range cmd.Commands() {
		if text, ok := long[strings.TrimPrefix(sub.CommandPath(), "jeton ")]; ok {
			sub.Long = text
		}
		explain(sub)
	}
}
