package process

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"derpman/node/internal/disk"
	"derpman/node/internal/relaybinary"
	"derpman/node/internal/runtime"
)

func (r *Runtime) installed() string { return filepath.Join(r.state, "bin", "derper") }

// binary is the derper to start; one sent by the panel comes before the one given.
func (r *Runtime) binary() string {
	for _, path := range []string{r.installed(), r.given} {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// labelCache spares hashing a binary that has not changed.
type labelCache struct {
	mu       sync.Mutex
	path     string
	modified time.Time
	label    string
}

// Label implements runtime.Runtime.
func (r *Runtime) Label(context.Context) (string, error) {
	path := r.binary()
	if path == "" {
		return "", nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	r.label.mu.Lock()
	defer r.label.mu.Unlock()
	if r.label.path != path || !r.label.modified.Equal(info.ModTime()) {
		label, err := relaybinary.Label(path)
		if err != nil {
			return "", err
		}
		r.label.path, r.label.modified, r.label.label = path, info.ModTime(), label
	}
	return r.label.label, nil
}

// Install implements runtime.Runtime: takes derper out of the image archive.
func (r *Runtime) Install(_ context.Context, archive, label string) error {
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return err
	}
	contents := mutate.Extract(image)
	defer contents.Close()
	for files := tar.NewReader(contents); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("the archive holds no derper")
		}
		if err != nil {
			return err
		}
		if filepath.Clean("/"+header.Name) == relaybinary.Path && header.Typeflag == tar.TypeReg {
			return r.put(files, label)
		}
	}
}

func (r *Runtime) put(content io.Reader, label string) error {
	target := r.installed()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	fresh := target + ".new"
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer os.Remove(fresh)
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	found, err := relaybinary.Label(fresh)
	if err != nil {
		return err
	}
	if found != label {
		return errors.New("the archive holds another derper than its label says")
	}
	return r.swap(fresh)
}

// swap puts a binary in the place of the installed one, which is kept.
func (r *Runtime) swap(fresh string) error {
	target, before := r.installed(), r.installed()+previous
	beside := before + ".new"
	os.Remove(beside)
	if err := os.Link(target, beside); err == nil { // at every moment there is one to start
		err = os.Rename(beside, before)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, target); err != nil {
		return err
	}
	return disk.SyncFolder(filepath.Dir(target))
}

// previous is added to the name of the binary that was installed before.
const previous = ".previous"

// Use implements runtime.Runtime. What comes back may be the binary that was
// installed before, or the one of the configuration.
func (r *Runtime) Use(ctx context.Context, label string) error {
	if now, err := r.Label(ctx); err != nil || now == label {
		return err
	}
	if found, err := relaybinary.Label(r.installed() + previous); err == nil && found == label {
		beside := r.installed() + ".back"
		os.Remove(beside)
		if err := os.Link(r.installed()+previous, beside); err != nil {
			return err
		}
		return r.swap(beside)
	}
	if r.given != "" {
		if found, err := relaybinary.Label(r.given); err == nil && found == label {
			return os.Remove(r.installed())
		}
	}
	return runtime.ErrNoImage
}
