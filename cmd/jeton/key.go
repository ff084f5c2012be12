package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
)

// keyColumns are shown in a table of keys.
var keyColumns = []string{"kid", "use", "alg", "state", "created_at", "activates_at", "removes_at"}

// keyCommand administers the key ring.
func (a *app) keyCommand() *cobra.Command {
	return group(&cobra.Command{Use: "key", Short: "Show the keys that sign tokens and rotate them"},
		a.keyList(), a.keyRotate())
}

func (a *app) keyList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the key ring",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				l := &listing{output: out, columns: keyColumns}
				if err := way.list(ctx, "/keys", nil, l.page); err != nil {
					return err
				}
				return l.end("there are no keys")
			})
		},
	}
}

func (a *app) keyRotate() *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use:   "rotate [--now]",
		Short: "Let the next key sign once every API can know it; --now when the current one has leaked",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				key, err := way.do(ctx, http.MethodPost, "/keys/rotate", map[string]any{"now": now})
				if err != nil {
					return err
				}
				when := pick(key, "activates_at")
				if when == "" || when == "-" || pick(key, "state") == "current" {
					return out.act(key, "key %s signs from now on; APIs that cached the key set learn of it within 5 minutes", pick(key, "kid"))
				}
				return out.act(key, "key %s signs from %s on", pick(key, "kid"), when)
			})
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "sign with it at once, though APIs may not know it yet")
	return cmd
}
