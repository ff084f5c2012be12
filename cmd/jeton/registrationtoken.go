package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

var registrationTokenColumns = []string{"name", "uses", "used", "scope", "grant_types", "created_at", "expires_at"}

// registrationTokenCommand administers initial access tokens (RFC 7591).
func (a *app) registrationTokenCommand() *cobra.Command {
	return group(&cobra.Command{Use: "registration-token", Short: "Make, list and revoke tokens by which clients register themselves"},
		a.registrationTokenAdd(), a.registrationTokenList(), a.registrationTokenRevoke())
}

func (a *app) registrationTokenAdd() *cobra.Command {
	var (
		uses           number
		ttl            string
		scopes, grants list
	)
	cmd := &cobra.Command{
		Use:     "add NAME [--uses N] [--ttl D] [--scope S...] [--grant G...]",
		Short:   "Make an initial access token; it is shown once",
		Example: "  jeton client registration-token add partner --uses 3 --ttl 30d --scope openid,read",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"name": args[0]}
			flags := cmd.Flags()
			if flags.Changed("uses") {
				body["uses"] = int(uses)
			}
			if flags.Changed("ttl") {
				body["ttl"] = ttl
			}
			if flags.Changed("scope") {
				body["scope"] = strings.Join(scopes, " ")
			}
			if flags.Changed("grant") {
				body["grant_types"] = grantTypes(grants)
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				token, err := way.do(ctx, http.MethodPost, "/registration-tokens", body)
				if err != nil {
					return err
				}
				return out.act(token, "registration token %s was made\n\n  token  %s\n\nIt is shown this once. Who has it registers with: Authorization: Bearer TOKEN", args[0], pick(token, "token"))
			})
		},
	}
	cmd.Flags().Var(&uses, "uses", "how many clients it may register, 0 for any number (default: 1)")
	cmd.Flags().StringVar(&ttl, "ttl", "", "how long it lives (default: 7d)")
	cmd.Flags().Var(&scopes, "scope", "the scopes that its clients may ask for, of those in registration-scopes (default: all of these); repeat or separate by commas")
	cmd.Flags().Var(&grants, "grant", "the grant types that its clients may have: authorization_code, refresh_token, client_credentials (default: the first two); repeat or separate by commas")
	return cmd
}

func (a *app) registrationTokenList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List initial access tokens that have not expired",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				l := &listing{output: out, columns: registrationTokenColumns}
				if err := way.list(ctx, "/registration-tokens", pageSize(), l.page); err != nil {
					return err
				}
				return l.end("there are no registration tokens: jeton client registration-token add NAME")
			})
		},
	}
}

func (a *app) registrationTokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Revoke an initial access token; the clients that it registered stay",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				if _, err := way.do(ctx, http.MethodDelete, "/registration-tokens/"+segment(args[0]), nil); err != nil {
					return err
				}
				return out.act(map[string]any{"name": args[0], "revoked": true}, "registration token %s was revoked", args[0])
			})
		},
	}
}
