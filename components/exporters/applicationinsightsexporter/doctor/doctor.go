// SPDX-License-Identifier: Apache-2.0

// Package doctor is the command otelcol-mesh-doctor: it looks at each step of the way to Application Insights, posts one
// item, and says in plain words what it found and what to do; and it lists dead letters and sends them again. The entry
// point is [Run].
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// The exit codes of [Run].
const (
	// ExitOK: the endpoint took the item, or the letters were listed or all delivered.
	ExitOK = 0
	// ExitFailed: a step failed, or the letters could not be read.
	ExitFailed = 1
	// ExitUsage: the command line is wrong.
	ExitUsage = 2
	// ExitLeft: letters that were to be sent again are letters still.
	ExitLeft = 3
)

const usage = `otelcol-mesh-doctor says why telemetry does or does not reach Application Insights, and sends dead letters again.

usage: otelcol-mesh-doctor [check] [options]             look at each step of the way, and post one item
       otelcol-mesh-doctor letters list [options]        count dead letters by destination and reason
       otelcol-mesh-doctor letters show [options]        print dead letters
       otelcol-mesh-doctor letters replay [options]      send dead letters again

where to (check, letters replay):
  --connection-string-file <file>   a file with the connection string, as 'connection_string_file' of the exporter
  --connection-string <text>        the string itself; other users of this machine may see it in the list of processes
                                    without either: the variable APPLICATION_INSIGHTS_CONNECTION_STRING, else
                                    APPLICATIONINSIGHTS_CONNECTION_STRING
  --proxy-url <url>                 as 'proxy_url' of the exporter; without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY count
  --ca-file <file>                  certificates to trust beside those of the system, as 'tls::ca_file'
  --allow-plain-http                let http go to hosts other than this one, as 'allow_plain_http'
  --auth <kind>                     workload-identity, managed-identity, client-secret or client-certificate: ask Microsoft
                                    Entra ID for a token, as the azure_auth extension does
  --tenant-id, --client-id, --authority-host <value>, --federated-token-file, --client-secret-file, --certificate-file,
  --certificate-password-file <file>
                                    of --auth; without them AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_AUTHORITY_HOST,
                                    AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_SECRET and AZURE_CLIENT_CERTIFICATE_PATH count

check:
  --dry-run                         go all the way, but post nothing
  --timeout <duration>              for all steps together (default 60s)

letters:
  --directory <directory>           'dead_letter::directory' of the exporter. Required
  --destination, --reason <name>    only letters of this route, or with this reason; may be given more than once
  --since, --until <time>           only letters that were given up then: 2026-11-23T05:00:00Z, or a duration ago, 24h
letters show:
  --limit <number>                  how many to print (default 10; 0 for all)
letters replay:
  --dry-run                         only count
  --shift-time                      send items older than 48 hours with the time of now; the real one stays as the property
                                    otelcol_mesh.original_time
  --rate <number>                   letters a second (default 500; 0 for no limit)
  --batch <number>                  letters in a request (default 100)
  --patience <duration>             how long to go on while nothing is accepted (default 2m)

  --json                            print JSON instead of text (letters show: one letter a line)
  --help                            print this

exit codes: 0 the endpoint took the item, or the letters are listed or all delivered; 1 a step failed; 2 wrong options;
            3 some of the letters to send again are letters still
`

const name = "otelcol-mesh-doctor"

// errHelp asks for the usage.
var errHelp = errors.New("help")

// usageError is what is wrong with the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Run does what the arguments (without the command's name) ask for and returns the exit code. When ctx ends, it stops; no
// letter is lost by that.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return run(ctx, args, stdout, stderr, realWorld())
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, w *world) int {
	code, err := dispatch(ctx, args, stdout, w)
	var wrong usageError
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, usage)
		return ExitOK
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "%s: %v\nTry --help.\n", name, err)
		return ExitUsage
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitFailed
	}
	return code
}

func dispatch(ctx context.Context, args []string, stdout io.Writer, w *world) (int, error) {
	if len(args) > 0 && args[0] == "letters" {
		if len(args) == 1 {
			return 0, usagef("letters: write list, show or replay behind it")
		}
		switch args[1] {
		case "list":
			return runList(args[2:], stdout, w)
		case "show":
			return runShow(args[2:], stdout, w)
		case "replay":
			return runReplay(ctx, args[2:], stdout, w)
		case "-h", "-help", "--help":
			return 0, errHelp
		}
		return 0, usagef("letters %s: write list, show or replay", args[1])
	}
	if len(args) > 0 && args[0] == "check" {
		args = args[1:]
	}
	return runCheck(ctx, args, stdout, w)
}
