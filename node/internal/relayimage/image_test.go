package relayimage

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"derpman/node/internal/relaybinary"
)

func derper(t *testing.T) string {
	t.Helper()
	if given := os.Getenv("DERPMAN_DERPER"); given != "" {
		return given
	}
	binary := filepath.Join(t.TempDir(), "derper")
	command := exec.Command("go", "build", "-o", binary, "tailscale.com/cmd/derper")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return binary
}

func TestSameBinaryGivesTheSameArchive(t *testing.T) {
	binary, folder := derper(t), t.TempDir()
	var archives [2][]byte
	for i := range archives {
		path := filepath.Join(folder, "relay.tar")
		label, err := Write(path, binary, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if archives[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		image, err := tarball.ImageFromPath(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		file, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if file.Config.Labels[relaybinary.ImageLabel] != label || file.Config.User != User || len(file.RootFS.DiffIDs) != 1 {
			t.Fatalf("config: %+v", file)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Fatal("archives differ")
	}
}

func TestOtherProgramsAreNoRelay(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(filepath.Join(t.TempDir(), "x"), self, "amd64"); err == nil {
		t.Fatal("an image was made of something else")
	}
}
