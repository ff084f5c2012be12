// Command jeton runs the authorization server and administers it.
//
// It is the outermost layer: it reads flags, environment and configuration
// file, opens what they name, and wires the packages below to each other. It
// is the only place that names a storage backend. What a token request means
// is left to package grants, what HTTP says to package server.
//
// Every subcommand speaks the admin API of package server: to a running server
// over its unix socket, or else to the same handlers in this process, over the
// store itself. So there is one set of rules, whoever runs.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A second signal ends the process at once: stop restores that.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	// Store, keys and socket belong to whoever runs this and to nobody else.
	syscall.Umask(0o077)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run is the whole command with the outside world handed in.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ}
	root := a.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return report(stderr, err, wantsJSON(args, environ))
}
