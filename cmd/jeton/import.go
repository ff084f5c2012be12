package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) userImport() *cobra.Command {
	return a.importCommand("user", "Add users from JSON lines; those that exist are skipped, so it can be run again",
		"  echo '{\"username\":\"alice\",\"roles\":[\"ROLE_USER\"],\"password_hash\":\"$2b$12$…\"}' | jeton user import -")
}

func (a *app) clientImport() *cobra.Command {
	return a.importCommand("client", "Add clients from JSON lines; those that exist are skipped, so it can be run again",
		"  echo '{\"client_id\":\"web\",\"grant_types\":[\"password\"],\"public\":true}' | jeton client import -")
}

func (a *app) importCommand(noun, short, example string) *cobra.Command {
	return &cobra.Command{
		Use:     "import FILE",
		Short:   short,
		Example: example,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := a.stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("the file cannot be read: %w", err)
				}
				defer f.Close()
				from = f
			}
			return a.with(cmd, true, func(ctx context.Context, way *api, out *output) error {
				r := &importRun{noun: noun, file: args[0], way: way, stderr: a.stderr, quiet: out.json, begun: time.Now(), Faults: []importFault{}}
				if err := r.run(ctx, from); err != nil {
					return fmt.Errorf("%w; up to here %s: run it again to go on, what is there is skipped", err, r)
				}
				if err := out.act(r, "%s", r); err != nil {
					return err
				}
				if r.Failed > 0 {
					return fmt.Errorf("%d lines were not imported: mend them and run it again, what is there is skipped", r.Failed)
				}
				return nil
			})
		},
	}
}

// importRun is an import on its way, and what it says of itself at the end.
type importRun struct {
	noun, file string
	way        *api
	stderr     io.Writer
	quiet      bool // no progress and no faults on stderr
	begun      time.Time
	told       time.Time

	Created  int `json:"created"`
	Existing int `json:"existing"`
	Failed   int `json:"failed"`
	// Faults are the first of the lines that failed.
	Faults []importFault `json:"faults"`
}

// importFault is one line that was not imported.
type importFault struct {
	Line        int    `json:"line"`
	Description string `json:"error_description"`
}

// mostFaults bounds the list of an answer in JSON. On standard error all stand.
const mostFaults = 1000

func (r *importRun) String() string {
	return fmt.Sprintf("%ss imported: %d, there already: %d, failed: %d", r.noun, r.Created, r.Existing, r.Failed)
}

func (r *importRun) run(ctx context.Context, from io.Reader) error {
	lines := newLineReader(from)
	for {
		batch, err := lines.next()
		if err != nil && err != io.EOF {
			return fmt.Errorf("%s cannot be read: %w", r.file, err)
		}
		for _, line := range batch.tooLong {
			r.fault(line, fmt.Sprintf("the line is longer than %d bytes", mostLine))
		}
		if len(batch.body) > 0 {
			if err := r.send(ctx, batch); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func (r *importRun) send(ctx context.Context, batch lineBatch) error {
	answer, err := r.way.do(ctx, http.MethodPost, "/import/"+r.noun+"s", jsonLines(batch.body))
	if err != nil {
		return err
	}
	var did struct {
		Created, Existing int
		Faults            []importFault
	}
	if err := json.Unmarshal(answer, &did); err != nil {
		return fmt.Errorf("the server's answer cannot be read, is it of another version? %w", err)
	}
	r.Created += did.Created
	r.Existing += did.Existing
	for _, f := range did.Faults {
		r.fault(batch.first+f.Line-1, f.Description)
	}
	r.progress()
	return nil
}

func (r *importRun) fault(line int, description string) {
	r.Failed++
	if len(r.Faults) < mostFaults {
		r.Faults = append(r.Faults, importFault{line, description})
	}
	if !r.quiet {
		fmt.Fprintf(r.stderr, "%s:%d: %s\n", r.file, line, printable(description))
	}
}

// progressEvery is how often a long import tells how far it is.
const progressEvery = 2 * time.Second

func (r *importRun) progress() {
	now := time.Now()
	if r.told.IsZero() {
		r.told = r.begun
	}
	if r.quiet || now.Sub(r.told) < progressEvery {
		return
	}
	r.told = now
	done := r.Created + r.Existing + r.Failed
	fmt.Fprintf(r.stderr, "%s (%.0f lines/s)\n", r, float64(done)/now.Sub(r.begun).Seconds())
}
