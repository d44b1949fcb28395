// SPDX-License-Identifier: Apache-2.0

// Command otelcol-mesh-init gives one directory of a node to the agent's user, before the agent starts: the kubelet makes it
// as root's. It needs the capability CAP_CHOWN and nothing else, changes nothing that is right already, and refuses what may
// belong to somebody else.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// Exit codes. A pod whose init container does not end with 0 does not start.
const (
	exitDone    = 0
	exitRefused = 1
	exitUsage   = 2
)

const usage = `otelcol-mesh-init --uid=UID --gid=GID [--former-uid=UID] DIRECTORY

Makes DIRECTORY if it is missing (its parent must exist) and gives it to UID:GID with mode 0700. One that holds what belongs
to another user is refused. With --former-uid the files and folders of that user in it become UID's too: for an agent that
ran as another user before.

`

// ids are a user and a group. noID is none: chown takes it for "leave as it is".
const noID = math.MaxUint32

type request struct {
	dir      string
	uid, gid uint32
	// formerUID's files may be changed; noID if nobody's.
	formerUID uint32
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	r, err := parse(args, stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitDone
		}
		fmt.Fprintln(stderr, "otelcol-mesh-init:", err)
		return exitUsage
	}
	done, err := prepare(r)
	if err != nil {
		fmt.Fprintln(stderr, "otelcol-mesh-init:", err)
		return exitRefused
	}
	fmt.Fprintln(stdout, "otelcol-mesh-init:", done)
	return exitDone
}

func parse(args []string, stderr io.Writer) (request, error) {
	r := request{uid: noID, gid: noID, formerUID: noID}
	flags := flag.NewFlagSet("otelcol-mesh-init", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.Func("uid", "user that the directory is for, 0 to 4294967294 (required)", id(&r.uid))
	flags.Func("gid", "its group, 0 to 4294967294 (required)", id(&r.gid))
	flags.Func("former-uid", "user whose files in the directory become --uid's", id(&r.formerUID))
	if err := flags.Parse(args); err != nil {
		return r, err
	}
	if r.uid == noID || r.gid == noID {
		return r, errors.New("--uid and --gid are required: write --uid=10001 --gid=10001")
	}
	if flags.NArg() != 1 {
		return r, fmt.Errorf("one directory is needed, %d are given: write it last", flags.NArg())
	}
	r.dir = flags.Arg(0)
	if !filepath.IsAbs(r.dir) || filepath.Clean(r.dir) != r.dir || r.dir == "/" {
		return r, fmt.Errorf("directory %q: write an absolute path without '.', '..', a slash at its end, and not /", r.dir)
	}
	return r, nil
}

func id(to *uint32) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n == noID {
			return errors.New("write a number from 0 to 4294967294")
		}
		*to = uint32(n)
		return nil
	}
}
