package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// consentColumns are shown in a table of the applications of a user.
var consentColumns = []string{"client_id", "client_name", "scope", "granted_at", "live_sessions", "last_used_at"}

// consentCommand shows and takes back what users have allowed applications.
func (a *app) consentCommand() *cobra.Command {
	return group(&cobra.Command{Use: "consent", Short: "Show which applications a user has let in, and take it back"},
		a.consentList(), a.consentRevoke())
}

func (a *app) consentList() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "list --user U",
		Short: "List the applications of a user: by consent, by sessions, or by both",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if user == "" {
				return usagef("say whose with --user")
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				l := &listing{output: out, columns: consentColumns}
				if err := way.list(ctx, "/consents", map[string][]string{"username": {user}}, l.page); err != nil {
					return err
				}
				return l.end("this user has let no application in")
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "whose")
	return cmd
}

func (a *app) consentRevoke() *cobra.Command {
	var user, client, reason string
	cmd := &cobra.Command{
		Use:     "revoke --user U --client C --reason TEXT",
		Short:   "Forget a user's consent to an application and end its sessions of that user",
		Example: "  jeton consent revoke --user alice --client shop --reason 'asked by phone'",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case user == "" || client == "":
				return usagef("say which with --user and --client, both")
			case strings.TrimSpace(reason) == "":
				return usagef("say why with --reason: it is kept with each session and in the log")
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				done, err := way.do(ctx, http.MethodPost, "/consents/revoke", map[string]string{"username": user, "client_id": client, "reason": reason})
				if err != nil {
					return err
				}
				forgotten := "there was no consent to forget"
				if pick(done, "consent") == "yes" {
					forgotten = "the consent is forgotten"
				}
				return out.act(done, "%s; sessions ended: %s", forgotten, pick(done, "revoked"))
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "whose")
	cmd.Flags().StringVar(&client, "client", "", "to which application")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who ask later")
	return cmd
}
