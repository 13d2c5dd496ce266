package docker

import (
	"context"
	"fmt"
	"io"
	"os"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"derpman/node/internal/disk"
	"derpman/node/internal/relaybinary"
	"derpman/node/internal/runtime"
)

// inUse remembers which of the loaded images new containers are made from.
type inUse struct {
	Label string `json:"label"`
}

// Label implements runtime.Runtime.
func (r *Runtime) Label(ctx context.Context) (string, error) {
	var image inUse
	if found, err := disk.ReadJSON(r.imageFile(), &image); !found || err != nil {
		return "", err
	}
	err := r.verify(ctx, image.Label)
	if cerrdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return image.Label, nil
}

func (r *Runtime) verify(ctx context.Context, label string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := r.docker.ImageInspect(ctx, relaybinary.Image+":"+label)
	if err != nil {
		return err
	}
	if found.Config == nil || found.Config.Labels[relaybinary.ImageLabel] != label {
		return fmt.Errorf("image %s:%s carries another label", relaybinary.Image, label)
	}
	return nil
}

// Install implements runtime.Runtime.
func (r *Runtime) Install(ctx context.Context, archive, label string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	loading, err := r.docker.ImageLoad(ctx, file, client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, loading)
	loading.Close()
	if err != nil {
		return err
	}
	if err := r.verify(ctx, label); err != nil {
		return err
	}
	return disk.ReplaceJSON(r.imageFile(), inUse{Label: label})
}

// Use implements runtime.Runtime.
func (r *Runtime) Use(ctx context.Context, label string) error {
	err := r.verify(ctx, label)
	if cerrdefs.IsNotFound(err) {
		return runtime.ErrNoImage
	}
	if err != nil {
		return err
	}
	return disk.ReplaceJSON(r.imageFile(), inUse{Label: label})
}
