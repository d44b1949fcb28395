// SPDX-License-Identifier: Apache-2.0

// Command release makes what a release is made of: static binaries, the image as an OCI layout, software bills of materials
// and checksums, without a container engine and the same to the byte wherever it runs. distribution/image/README.md
// tells how it is used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
)

type command struct {
	help string
	run  func(ctx context.Context, args []string, stdout io.Writer) error
}

var commands = map[string]command{
	"image":  {"build the binaries, the image, the bills of materials and SHA256SUMS", imageCommand},
	"chart":  {"write a packaged Helm chart again without its times, so that it is the same each time", chartCommand},
	"sums":   {"write SHA256SUMS over the files of a folder", sumsCommand},
	"push":   {"push an image layout, with what refers to it, to a registry", pushCommand},
	"export": {"write the files of an image as a tar archive to the output", exportCommand},
	"roots":  {"write the certificates of public authorities that the image has to the output", rootsCommand},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var names []string
	for name := range commands {
		names = append(names, name)
	}
	sort.Strings(names)
	if len(args) == 0 {
		for _, name := range names {
			fmt.Fprintf(stdout, "  %-8s %s\n", name, commands[name].help)
		}
		return fmt.Errorf("write one of %s", strings.Join(names, ", "))
	}
	c, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("%q is none of %s", args[0], strings.Join(names, ", "))
	}
	return c.run(ctx, args[1:], stdout)
}

// parse reads flags and wants so many arguments behind them.
func parse(flags *flag.FlagSet, args []string, behind ...string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != len(behind) {
		return fmt.Errorf("%s: write %s behind the flags", flags.Name(), strings.Join(append([]string{"nothing"}, behind...)[min(len(behind), 1):], " "))
	}
	return nil
}

func imageCommand(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	root := flags.String("root", ".", "folder of the repository, in which `make build` has been run")
	out := flags.String("out", "build/release", "folder to write to; made anew")
	revision := flags.String("revision", "", "commit to name in the image; none if empty")
	platforms := flags.String("platforms", "linux/amd64,linux/arm64", "platforms, with commas between them")
	if err := parse(flags, args); err != nil {
		return err
	}
	r, err := newRelease(*root, *out, *revision, strings.Split(*platforms, ","))
	if err != nil {
		return err
	}
	digest, err := r.make(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s %s\n", digest, r.layoutDir())
	return nil
}
