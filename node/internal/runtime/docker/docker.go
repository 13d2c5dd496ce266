// Package docker runs each relay in a container of its own, all made from one
// template.
package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"derpman/node/internal/relaybinary"
	"derpman/node/internal/runtime"
)

// patience bounds every call, so that a Docker daemon that hangs holds nothing up for ever.
const patience = 30 * time.Second

const (
	labelRelay      = "derpman.relay.id"
	labelGeneration = "derpman.relay.generation"
	labelSpec       = "derpman.relay.spec"
)

var ourName = regexp.MustCompile(`^/?relay-([1-9][0-9]*)-g([1-9][0-9]*)$`)

func nameOf(spec runtime.Spec) string {
	return fmt.Sprintf("relay-%d-g%d", spec.Relay, spec.Generation)
}

// Runtime implements runtime.Runtime.
type Runtime struct {
	docker *client.Client
	state  string // folder that remembers which image is in use
	memory int64  // limit of a relay, bytes
	events chan int64
}

// New speaks to the Docker daemon at host, in whatever API version both know.
func New(host, state string, memory int64) (*Runtime, error) {
	docker, err := client.New(client.WithHost(host), client.WithUserAgent("derpman-node"))
	if err != nil {
		return nil, err
	}
	return &Runtime{docker: docker, state: state, memory: memory, events: make(chan int64, 64)}, nil
}

// Name implements runtime.Runtime.
func (r *Runtime) Name() string { return "docker" }

// Version implements runtime.Runtime.
func (r *Runtime) Version(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	version, err := r.docker.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return ""
	}
	return version.Version
}

// Owner implements runtime.Runtime.
func (r *Runtime) Owner() (uid, gid int, ok bool) { return user, user, true }

// List implements runtime.Runtime. The instances are without their starts.
func (r *Runtime) List(ctx context.Context) ([]runtime.Instance, error) {
	return r.list(ctx, nil)
}

func (r *Runtime) list(ctx context.Context, filters client.Filters) ([]runtime.Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	list, err := r.docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return nil, err
	}
	var instances []runtime.Instance
	for _, summary := range list.Items {
		if instance, ours := instanceOf(summary); ours {
			instances = append(instances, instance)
		}
	}
	return instances, nil
}

// instanceOf takes a container for ours that carries our label or a name of our form.
func instanceOf(summary container.Summary) (runtime.Instance, bool) {
	instance := runtime.Instance{
		Handle: summary.ID, Condition: conditionOf(summary.State), Label: labelOf(summary.Image),
	}
	if id, err := strconv.ParseInt(summary.Labels[labelRelay], 10, 64); err == nil && id > 0 {
		instance.Relay, instance.Spec = id, summary.Labels[labelSpec]
		instance.Generation, _ = strconv.ParseInt(summary.Labels[labelGeneration], 10, 64)
		return instance, true
	}
	for _, name := range summary.Names {
		if parts := ourName.FindStringSubmatch(name); parts != nil {
			instance.Relay, _ = strconv.ParseInt(parts[1], 10, 64)
			instance.Generation, _ = strconv.ParseInt(parts[2], 10, 64)
			return instance, instance.Relay > 0
		}
	}
	return instance, false
}

// labelOf is the tag of one of our images, "" for any other.
func labelOf(image string) string {
	label, ours := strings.CutPrefix(image, relaybinary.Image+":")
	if !ours {
		return ""
	}
	return label
}

func conditionOf(state container.ContainerState) runtime.Condition {
	switch state {
	case container.StateRunning:
		return runtime.Running
	case container.StateExited, container.StateCreated:
		return runtime.Ended
	}
	return runtime.Stuck
}

// Find implements runtime.Runtime.
func (r *Runtime) Find(ctx context.Context, relay int64) ([]runtime.Instance, error) {
	found, err := r.list(ctx, make(client.Filters).Add("label", fmt.Sprintf("%s=%d", labelRelay, relay)))
	if err != nil {
		return nil, err
	}
	for i := range found {
		if found[i].Condition != runtime.Running {
			continue
		}
		switch err := r.fillStart(ctx, &found[i]); {
		case cerrdefs.IsNotFound(err):
			found[i].Condition = runtime.Ended
		case err != nil:
			return nil, err
		}
	}
	return found, nil
}

// fillStart tells one start of a container from the next.
func (r *Runtime) fillStart(ctx context.Context, instance *runtime.Instance) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	result, err := r.docker.ContainerInspect(ctx, instance.Handle, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	state := result.Container.State
	if state == nil {
		return errors.New("container has no state")
	}
	sum := sha256.Sum256([]byte(instance.Handle + state.StartedAt))
	instance.StartID = hex.EncodeToString(sum[:8])
	instance.Condition = conditionOf(state.Status)
	if result.Container.Config != nil {
		instance.Label = labelOf(result.Container.Config.Image)
	}
	started, err := time.Parse(time.RFC3339Nano, state.StartedAt)
	instance.StartedAt = started.UTC().Truncate(time.Microsecond)
	return err
}

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec) (runtime.Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		var id string
		if id, err = r.provide(ctx, spec); err == nil {
			_, err = r.docker.ContainerStart(ctx, id, client.ContainerStartOptions{})
		}
		if err == nil {
			instance := runtime.Instance{
				Relay: spec.Relay, Generation: spec.Generation, Spec: spec.Hash(), Handle: id,
			}
			return instance, r.fillStart(ctx, &instance)
		}
		if !cerrdefs.IsConflict(err) && !cerrdefs.IsNotFound(err) {
			break
		}
		if errors.Is(err, runtime.ErrNoImage) {
			break
		}
		// Somebody is just removing it, as `docker rm -f` does.
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return runtime.Instance{}, err
}

// provide answers a stopped container made from the spec: the one that is
// there, or a new one.
func (r *Runtime) provide(ctx context.Context, spec runtime.Spec) (string, error) {
	existing, err := r.docker.ContainerInspect(ctx, nameOf(spec), client.ContainerInspectOptions{})
	switch {
	case cerrdefs.IsNotFound(err):
		return r.create(ctx, spec)
	case err != nil:
		return "", err
	}
	c := existing.Container
	if c.Config != nil && c.Config.Labels[labelSpec] == spec.Hash() && c.State != nil && conditionOf(c.State.Status) == runtime.Ended {
		return c.ID, nil
	}
	if err := r.remove(ctx, c.ID); err != nil {
		return "", err
	}
	return r.create(ctx, spec)
}

func (r *Runtime) create(ctx context.Context, spec runtime.Spec) (string, error) {
	label, err := r.Label(ctx)
	if err != nil {
		return "", err
	}
	if label == "" {
		return "", runtime.ErrNoImage
	}
	created, err := r.docker.ContainerCreate(ctx, r.template(spec, label))
	return created.ID, err
}

// Reload implements runtime.Runtime.
func (r *Runtime) Reload(ctx context.Context, instance runtime.Instance) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := r.docker.ContainerKill(ctx, instance.Handle, client.ContainerKillOptions{Signal: "HUP"})
	return err
}

// Remove implements runtime.Runtime.
func (r *Runtime) Remove(ctx context.Context, instance runtime.Instance) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.remove(ctx, instance.Handle)
}

func (r *Runtime) remove(ctx context.Context, id string) error {
	for {
		_, err := r.docker.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err == nil || cerrdefs.IsNotFound(err) {
			return nil
		}
		if !cerrdefs.IsConflict(err) { // a conflict: being removed by someone else
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Events implements runtime.Runtime.
func (r *Runtime) Events(context.Context) <-chan int64 { return r.events }

// Follow turns the daemon's events into ours until the context ends. After
// every interruption everything must be looked at.
func (r *Runtime) Follow(ctx context.Context) {
	filters := make(client.Filters).Add("type", "container").Add("label", labelRelay).
		Add("event", "die", "destroy", "pause", "start")
	for ctx.Err() == nil {
		within, cancel := context.WithCancel(ctx)
		stream := r.docker.Events(within, client.EventsListOptions{Filters: filters})
		r.tell(ctx, runtime.Everything)
		r.pass(ctx, stream)
		cancel()
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (r *Runtime) pass(ctx context.Context, stream client.EventsResult) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-stream.Err:
			return
		case message := <-stream.Messages:
			if id, err := strconv.ParseInt(message.Actor.Attributes[labelRelay], 10, 64); err == nil {
				r.tell(ctx, id)
			}
		}
	}
}

func (r *Runtime) tell(ctx context.Context, relay int64) {
	select {
	case r.events <- relay:
	case <-ctx.Done():
	}
}

func (r *Runtime) imageFile() string { return filepath.Join(r.state, "image.json") }
