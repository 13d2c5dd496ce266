// Package relayimage makes the relay image: from scratch, derper and nothing
// else, the same bytes for the same binary.
package relayimage

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"derpman/node/internal/relaybinary"
)

// User the image runs as, unless the container says otherwise.
const User = "65532:65532"

// Write makes the archive of the static derper at binary, for an
// architecture as Go names it, and answers its label.
func Write(archive, binary, architecture string) (label string, err error) {
	label, err = relaybinary.Label(binary)
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return "", err
	}
	layer, err := layerOf(content)
	if err != nil {
		return "", err
	}
	image, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{CreatedBy: "derpman relay-image", Created: v1.Time{Time: time.Unix(0, 0).UTC()}},
	})
	if err != nil {
		return "", err
	}
	image, err = configure(image, label, architecture)
	if err != nil {
		return "", err
	}
	tag, err := name.NewTag(relaybinary.Image + ":" + label)
	if err != nil {
		return "", err
	}
	return label, save(archive, tag, image)
}

func configure(image v1.Image, label, architecture string) (v1.Image, error) {
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", architecture
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	file.Config = v1.Config{
		User:       User,
		WorkingDir: "/",
		Entrypoint: []string{relaybinary.Path},
		Labels:     map[string]string{relaybinary.ImageLabel: label},
	}
	return mutate.ConfigFile(image, file)
}

// layerOf holds the binary, and no time, owner or name of the machine it was made on.
func layerOf(binary []byte) (v1.Layer, error) {
	var files bytes.Buffer
	writer := tar.NewWriter(&files)
	err := writer.WriteHeader(&tar.Header{
		Name: relaybinary.Path[1:], Typeflag: tar.TypeReg, Mode: 0o555, Size: int64(len(binary)),
		ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
	})
	if err != nil {
		return nil, err
	}
	if _, err := writer.Write(binary); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files.Bytes())), nil
	})
}

func save(archive string, tag name.Tag, image v1.Image) error {
	fresh := archive + ".new"
	if err := tarball.WriteToFile(fresh, tag, image); err != nil {
		os.Remove(fresh)
		return fmt.Errorf("archive not written: %w", err)
	}
	return os.Rename(fresh, archive)
}
