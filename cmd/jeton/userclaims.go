package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// userClaims sets what ID tokens and /userinfo tell of a user.
func (a *app) userClaims() *cobra.Command {
	var claims []string
	cmd := &cobra.Command{
		Use:     "claims NAME --claim NAME=VALUE...",
		Short:   "Replace what ID tokens tell of a user; --claim '' takes all away",
		Example: "  jeton user claims alice --claim 'name=Alice Liddell' --claim email=alice@example.com --claim email_verified=true",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("claim") {
				return usagef("say what is told of the user from now on: %s", cmd.UseLine())
			}
			body, err := claimsOf(claims)
			if err != nil {
				return err
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				user, err := way.do(ctx, http.MethodPut, userPath(args[0])+"/claims", body)
				if err != nil {
					return err
				}
				return out.act(user, "user %s has %d claims", args[0], len(body))
			})
		},
	}
	claimFlag(cmd, &claims)
	return cmd
}

func claimFlag(cmd *cobra.Command, claims *[]string) {
	// Not separated by commas: names have them.
	cmd.Flags().StringArrayVar(claims, "claim", nil, "a claim such as 'name=Alice Liddell': name, given_name, family_name, nickname, picture, website, locale, zoneinfo, email, email_verified; repeat for more")
}

// claimsOf is the object that --claim describes.
func claimsOf(claims []string) (map[string]any, error) {
	body := map[string]any{}
	for _, claim := range claims {
		if claim == "" {
			continue
		}
		name, value, ok := strings.Cut(claim, "=")
		if !ok {
			return nil, usagef("--claim: %q is not NAME=VALUE, such as email=alice@example.com", claim)
		}
		body[name] = value
		if name == "email_verified" {
			verified, err := strconv.ParseBool(value)
			if err != nil {
				return nil, usagef("--claim: email_verified is true or false, not %q", value)
			}
			body[name] = verified
		}
	}
	return body, nil
}
