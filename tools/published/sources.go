package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"kv-shepherd.io/shepherd/tools/artifact"
)

// source is an npm package: data only, never run.
type source struct {
	name, version string
	integrity     string // as npm and package-lock.json write it
}

var (
	restSource     = source{"@octokit/openapi", "23.0.2", "sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="}
	webhookSource  = source{"@octokit/openapi-webhooks", "12.1.0", "sha512-Z5eDsLCUNbx1zHpZb1LNQirADqdMTvWJQ/deahi0ws+tWWnwHXB+Pr4jfmM9OrETS9Y5iW8ZRu1fdbudObhLrg=="}
	schemasSource  = source{"@octokit/webhooks-schemas", "7.6.1", "sha512-qW0Bwtb76r4m2WzVhKDyfEeEnt1GEQoRjkCqmq2ZeB0nNVDJ+Z2LBDS9FDPyduuMXf/ZTWiCJp9PFFHgRfBe3A=="}
	examplesSource = source{"@octokit/webhooks-examples", "7.6.1", "sha512-De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ=="}
)

// fetch returns the path of the package's archive, which it takes from the cache or else from npm's registry.
func (s source) fetch(ctx context.Context) (string, error) {
	const archive = "package.tgz"
	name := "npm-" + strings.NewReplacer("@", "", "/", "-").Replace(s.name)
	dir, err := artifact.Make(ctx, name, s.version, func(ctx context.Context, dir string) error {
		cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", dir, s.name+"@"+s.version)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		file, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("fetch %s %s: %w", s.name, s.version, err)
		}
		return os.Rename(filepath.Join(dir, strings.TrimSpace(string(file))), filepath.Join(dir, archive))
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, archive)
	return path, s.verify(path)
}

func (s source) verify(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != s.integrity {
		return fmt.Errorf("%s %s in %s has the hash %s, want %s", s.name, s.version, path, got, s.integrity)
	}
	return nil
}

// read decodes a JSON file of the package.
func (s source) read(ctx context.Context, name string, into any) error {
	path, err := s.fetch(ctx)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", path, err)
	}
	for archive := tar.NewReader(z); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s %s has no file %s", s.name, s.version, name)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", path, err)
		}
		if header.Name != "package/"+name {
			continue
		}
		if err := json.NewDecoder(archive).Decode(into); err != nil {
			return fmt.Errorf("read %s of %s: %w", name, s.name, err)
		}
		return nil
	}
}
