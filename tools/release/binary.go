// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/mod/modfile"
)

// buildEnv is what the programs are built with, over whatever the environment has: all of it can change a binary.
func buildEnv(p v1.Platform) []string {
	return []string{
		"CGO_ENABLED=0", "GOOS=" + p.OS, "GOARCH=" + p.Architecture, "GOAMD64=v1", "GOARM64=v8.0",
		"GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off", "GODEBUG=", "GOFLAGS=" + parallel(os.Getenv("GOFLAGS")),
	}
}

// parallel keeps of GOFLAGS how many packages are compiled at once.
func parallel(goflags string) string {
	for f := range strings.FieldsSeq(goflags) {
		if strings.HasPrefix(f, "-p=") {
			return f
		}
	}
	return ""
}

func (r *release) build(ctx context.Context, p v1.Platform) error {
	for _, program := range programs {
		to, err := filepath.Abs(r.program(p, program.name))
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", to, program.pkg)
		cmd.Dir = filepath.Join(r.root, program.folder)
		cmd.Env = append(os.Environ(), buildEnv(p)...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go build of %s for %s in %s: %w", program.name, p, cmd.Dir, err)
		}
		info, err := buildinfo.ReadFile(to)
		if err != nil {
			return err
		}
		if err := checkStatic(to, p.Architecture); err != nil {
			return err
		}
		if err := checkSettings(info, p.Architecture); err != nil {
			return fmt.Errorf("%s: %w", to, err)
		}
		if err := checkPins(info, r.pins); err != nil {
			return fmt.Errorf("%s: %w", to, err)
		}
	}
	return nil
}

// checkStatic refuses what an image from scratch cannot run.
func checkStatic(path, arch string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; f.Machine != want {
		return fmt.Errorf("%s is for %s, not %s", path, f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return fmt.Errorf("%s is linked dynamically (%s), and the image has no linker", path, p.Type)
		}
	}
	return nil
}

// checkSettings refuses a binary that another machine would not build the same.
func checkSettings(info *buildinfo.BuildInfo, arch string) error {
	want := map[string]string{"-trimpath": "true", "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": arch}
	switch arch {
	case "amd64":
		want["GOAMD64"] = "v1"
	case "arm64":
		want["GOARM64"] = "v8.0"
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		switch _, wanted := want[s.Key]; {
		case wanted:
			got[s.Key] = s.Value
		case s.Key == "-buildmode", s.Key == "-compiler", s.Key == "DefaultGODEBUG":
		default:
			return fmt.Errorf("was built with %s=%s, which the release does not set", s.Key, s.Value)
		}
	}
	for key, value := range want {
		if got[key] != value {
			return fmt.Errorf("was built with %s=%q instead of %q", key, got[key], value)
		}
	}
	return nil
}

// readPins are the module versions of go.mod, where replaced the replacement's.
func readPins(path string) (map[string]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	mod, err := modfile.Parse(path, raw, nil)
	if err != nil {
		return nil, err
	}
	pins := map[string]string{}
	for _, m := range mod.Require {
		pins[m.Mod.Path] = m.Mod.Version
	}
	for _, m := range mod.Replace {
		pins[m.New.Path] = m.New.Version
	}
	return pins, nil
}

// checkPins refuses a module in a version that go.mod does not name. ocb makes a go.mod of its own and completes it with
// whatever is newest that day.
func checkPins(info *buildinfo.BuildInfo, pins map[string]string) error {
	for _, m := range info.Deps {
		if m.Path == ownModule {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if pins[m.Path] != m.Version {
			return fmt.Errorf("has %s %s, and go.mod says %q: add it to go.mod as it is, or build again from a clean folder", m.Path, m.Version, pins[m.Path])
		}
	}
	return nil
}
