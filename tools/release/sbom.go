// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// sbom is the CycloneDX 1.6 bill of materials of one platform's image. The toolchain writes into each program which
// modules are in it; nothing else is read, so it lists what is there, not what might be.
func (r *release) sbom(p v1.Platform) ([]byte, error) {
	certificates, err := roots()
	if err != nil {
		return nil, err
	}
	b := &bill{release: r, modules: map[string]cdx.Component{}}
	for _, program := range programs {
		if err := b.add(p, program.name); err != nil {
			return nil, err
		}
	}
	b.programs = append(b.programs, cdx.Component{
		BOMRef: rootsPath, Type: cdx.ComponentTypeFile, Name: "/" + rootsPath, Version: rootsVersion(),
		Description: "Mozilla's public authorities, from the Go module " + rootsModule,
		PackageURL:  purl(rootsModule, rootsVersion()),
		Hashes:      &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sha256.Sum256(certificates))}},
	})
	return b.encode(p)
}

// bill gathers what the programs are made of.
type bill struct {
	*release
	programs []cdx.Component
	modules  map[string]cdx.Component
	needs    []cdx.Dependency
}

func (b *bill) add(p v1.Platform, program string) error {
	path := b.program(p, program)
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	sum, err := sha256File(path)
	if err != nil {
		return err
	}
	b.programs = append(b.programs, cdx.Component{
		BOMRef: program, Type: cdx.ComponentTypeApplication, Name: program, Version: b.version,
		PackageURL: purl(info.Path, "v"+b.version), Licenses: &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}},
	})
	refs := []string{b.module(&debug.Module{Path: "stdlib", Version: info.GoVersion})}
	for _, m := range info.Deps {
		refs = append(refs, b.module(m))
	}
	b.needs = append(b.needs, cdx.Dependency{Ref: program, Dependencies: &refs})
	return nil
}

// module returns the reference of a module, which is its package URL.
func (b *bill) module(m *debug.Module) string {
	path, version, sum := m.Path, m.Version, m.Sum
	switch {
	case path == "stdlib":
		version = strings.TrimPrefix(version, "go")
	case path == ownModule:
		version = "v" + b.version
	case m.Replace != nil:
		path, version, sum = m.Replace.Path, m.Replace.Version, m.Replace.Sum
	}
	ref := purl(path, version)
	c := cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: ref}
	if sum != "" {
		// As go.sum has it. No hash of CycloneDX's: it is one of names and contents, not of a file.
		c.Properties = &[]cdx.Property{{Name: "go:sum", Value: sum}}
	}
	b.modules[ref] = c
	return ref
}

func (b *bill) encode(p v1.Platform) ([]byte, error) {
	components := slices.Clone(b.programs)
	var root []string
	for _, c := range b.programs {
		root = append(root, c.BOMRef)
	}
	for _, c := range b.modules {
		components = append(components, c)
	}
	slices.SortFunc(components, func(a, c cdx.Component) int { return strings.Compare(a.BOMRef, c.BOMRef) })
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: b.created.Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: "image", Type: cdx.ComponentTypeContainer, Name: name, Version: b.version, Description: b.description,
			Properties: &[]cdx.Property{{Name: "platform", Value: p.String()}},
		},
	}
	bom.Components = &components
	needs := append([]cdx.Dependency{{Ref: "image", Dependencies: &root}}, b.needs...)
	bom.Dependencies = &needs
	var out bytes.Buffer
	encoder := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	if err := encoder.EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func purl(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}

// rootsVersion is that of the module that this program was built with, which is where the certificates come from.
func rootsVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == rootsModule {
				return m.Version
			}
		}
	}
	return "unknown"
}
