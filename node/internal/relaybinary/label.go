// Package relaybinary names a derper by what it is.
package relaybinary

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// Image is the repository name of relay images; the label is their tag.
const Image = "derpman/relay"

// Path of derper inside the image.
const Path = "/derper"

// ImageLabel is the image label that holds the relay label.
const ImageLabel = "derpman.relay"

// Label is "derper-<version>-<first 12 hex digits of the file's SHA-256>".
func Label(path string) (string, error) {
	version, err := Version(path)
	if err != nil {
		return "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return fmt.Sprintf("derper-%s-%s", version, hex.EncodeToString(sum.Sum(nil))[:12]), nil
}

// Version is the version of tailscale.com that the binary was built from.
func Version(path string) (string, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "", err
	}
	if !strings.HasSuffix(info.Path, "/cmd/derper") {
		return "", fmt.Errorf("%s is %s, not derper", path, info.Path)
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == "tailscale.com" {
			return strings.TrimPrefix(module.Version, "v"), nil
		}
	}
	return "", fmt.Errorf("%s does not tell its version", path)
}
