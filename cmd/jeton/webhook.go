package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
)

// Columns of the tables of webhooks and dead letters.
var (
	webhookColumns = []string{"name", "configured", "state", "pending", "oldest_pending_at", "dead_letters", "dropped", "last_error"}
	letterColumns  = []string{"jti", "type", "time", "sub", "client_id", "attempts", "last_error"}
)

// webhookCommand shows whom events are told, and what could not be.
func (a *app) webhookCommand() *cobra.Command {
	return group(&cobra.Command{Use: "webhook", Short: "Show which programs are told of events, and what could not be delivered"},
		a.webhookList(), a.webhookDeadLetters(), a.webhookRetry(), a.webhookDrop())
}

func webhookPath(name, rest string) string { return "/webhooks/" + segment(name) + rest }

func (a *app) webhookList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List webhooks and how they fare",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				l := &listing{output: out, columns: webhookColumns}
				if err := way.list(ctx, "/webhooks", nil, l.page); err != nil {
					return err
				}
				return l.end("there are no webhooks: the configuration file lists them")
			})
		},
	}
}

func (a *app) webhookDeadLetters() *cobra.Command {
	return &cobra.Command{
		Use:   "dead-letters NAME",
		Short: "List the events that could not be delivered to a webhook, and why",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				l := &listing{output: out, columns: letterColumns}
				if err := way.list(ctx, webhookPath(args[0], "/dead-letters"), pageSize(), l.page); err != nil {
					return err
				}
				return l.end("there are no dead letters")
			})
		},
	}
}

// letters is which dead letters an act is for.
type letters struct {
	event string
	all   bool
}

func (l *letters) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.event, "event", "", "the one of this event (its jti)")
	cmd.Flags().BoolVar(&l.all, "all", false, "all of them")
}

func (l *letters) check(cmd *cobra.Command) error {
	if (l.event == "") != l.all {
		return usagef("say which: %s NAME --event ID, or --all", cmd.CommandPath())
	}
	return nil
}

func (a *app) webhookRetry() *cobra.Command {
	var which letters
	cmd := &cobra.Command{
		Use:   "retry NAME (--event ID | --all)",
		Short: "Send dead letters again",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := which.check(cmd); err != nil {
				return err
			}
			body := map[string]any{"all": true}
			if !which.all {
				body = map[string]any{"jti": which.event}
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				done, err := way.do(ctx, http.MethodPost, webhookPath(args[0], "/retry"), body)
				if err != nil {
					return err
				}
				return out.act(done, "events that are sent again: %s", pick(done, "retried"))
			})
		},
	}
	which.flags(cmd)
	return cmd
}

func (a *app) webhookDrop() *cobra.Command {
	var which letters
	cmd := &cobra.Command{
		Use:   "drop NAME (--event ID | --all)",
		Short: "Forget dead letters: the webhook will never hear of these events",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := which.check(cmd); err != nil {
				return err
			}
			path := webhookPath(args[0], "/dead-letters")
			if !which.all {
				path += "/" + segment(which.event)
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				done, err := way.do(ctx, http.MethodDelete, path, nil)
				if err != nil {
					return err
				}
				return out.act(done, "dead letters dropped: %s", pick(done, "dropped"))
			})
		},
	}
	which.flags(cmd)
	return cmd
}
