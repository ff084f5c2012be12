package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// sessionColumns are shown in a table of sessions.
var sessionColumns = []string{"sid", "username", "client_id", "state", "created_at", "last_used_at", "device"}

// sessionCommand shows and ends logins.
func (a *app) sessionCommand() *cobra.Command {
	return group(&cobra.Command{Use: "session", Short: "Show logins and end them"},
		a.sessionList(), a.sessionShow(), a.sessionRevoke())
}

func (a *app) sessionList() *cobra.Command {
	var user, client string
	cmd := &cobra.Command{
		Use:   "list [--user U] [--client C]",
		Short: "List sessions",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := pageSize()
			if user != "" {
				query.Set("username", user)
			}
			if client != "" {
				query.Set("client_id", client)
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				l := &listing{output: out, columns: sessionColumns}
				if err := way.list(ctx, "/sessions", query, l.page); err != nil {
					return err
				}
				return l.end("there are no such sessions")
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "only those of this user")
	cmd.Flags().StringVar(&client, "client", "", "only those through this client")
	return cmd
}

func (a *app) sessionShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a session",
		Args:  exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				session, err := way.do(ctx, http.MethodGet, "/sessions/"+segment(args[0]), nil)
				if err != nil {
					return err
				}
				return out.show(session)
			})
		},
	}
}

func (a *app) sessionRevoke() *cobra.Command {
	var session, user, client, reason string
	var all bool
	var dry *bool
	cmd := &cobra.Command{
		Use:   "revoke (--session ID | --user U | --client C | --all) (--reason TEXT | --dry-run)",
		Short: "End sessions; their tokens stop working",
		Example: "  jeton session revoke --user alice --reason 'laptop stolen'\n" +
			"  jeton session revoke --user alice --client web --reason 'asked by phone'\n" +
			"  jeton session revoke --all --dry-run",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			body := map[string]any{"reason": reason}
			changed := cmd.Flags().Changed
			for flag, member := range map[string]string{"session": "sid", "user": "username", "client": "client_id"} {
				if value := cmd.Flags().Lookup(flag).Value.String(); changed(flag) && value != "" {
					body[member] = value
				} else if changed(flag) {
					return usagef("--%s is empty: nothing was ended", flag)
				}
			}
			if all {
				body["all"] = true
			}
			switch n := len(body) - 1; {
			case n == 0:
				return usagef("say whose sessions: --session ID, --user U, --client C or --all")
			case n > 1 && (all || changed("session")):
				return usagef("give one of --session, --user, --client and --all (only --user and --client go together)")
			case *dry:
				delete(body, "reason")
				return a.preview(cmd, "revoke", body)
			case strings.TrimSpace(reason) == "":
				return usagef("say why with --reason: it is kept with each session and in the log")
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				done, err := way.do(ctx, http.MethodPost, "/sessions/revoke", body)
				if err != nil {
					return err
				}
				return out.act(done, "sessions ended: %s", pick(done, "revoked"))
			})
		},
	}
	cmd.Flags().StringVar(&session, "session", "", "end this one")
	cmd.Flags().StringVar(&user, "user", "", "end those of this user")
	cmd.Flags().StringVar(&client, "client", "", "end those through this client")
	cmd.Flags().BoolVar(&all, "all", false, "end all sessions of everyone")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who ask later")
	dry = dryRun(cmd)
	return cmd
}
